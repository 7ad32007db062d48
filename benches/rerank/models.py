"""Model directories, and what each peer runs in their place; made once, kept in a folder.

    python -m rerank.models NAME FOLDER FORM...

MiniLM has trained weights under a random head. The others have random weights: their speed says
something, what a low precision does to their scores does not.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parents[1] / "tests"

XLMR_VOCABULARY = 250_002
_LARGE = {"num_labels": 1, "num_hidden_layers": 12, "num_attention_heads": 12}
MODELS = {
    "minilm-l6": "MiniLM-L6-H384, trained weights, random head",
    "xlmr-l12": "XLM-R L12-H384, vocabulary 250,002, random weights",
    "bert-base": "BERT-base L12-H768, random weights",
}

#: Form on disk -> the packages that making it needs.
FORMS = {
    "torch": (),
    "onnx": ("onnx", "onnxruntime"),
    "onnx-int8": ("onnx", "onnxruntime"),
    "onnx-int8-per-channel": ("onnx", "onnxruntime"),
    "openvino": ("onnx", "openvino"),
    "openvino-int8": ("onnx", "openvino", "nncf"),
}
#: Standard deviation of the logits, about that of published cross-encoders.
SPREAD = 2.5
_CALIBRATION_PAIRS = 64


def missing(form: str) -> list[str]:
    """Return the packages that `form` needs and that are not installed."""
    return [package for package in FORMS[form] if importlib.util.find_spec(package) is None]


def prepare(name: str, forms: set[str], root: Path) -> Path:
    """Return the folder with these forms of a model, made in a process of its own."""
    folder = root / _fingerprint() / name
    wanted = [form for form in FORMS if form in forms and not (folder / form).exists()]
    if wanted:
        print(f"making {name}: {', '.join(wanted)}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "rerank.models",
            name,
            str(folder),
            *wanted,
        ]
        run = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{run.stdout}{run.stderr}")
    return folder


def _fingerprint() -> str:
    """Changes with anything the models are made from."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for file in sorted((TESTS / "tiny_models").glob("*.py")):
        digest.update(file.read_bytes())
    for package in ("torch", "transformers", *sorted(set(sum(FORMS.values(), ())))):
        if importlib.util.find_spec(package):
            digest.update(importlib.metadata.version(package).encode())
    return digest.hexdigest()[:16]


def make(name: str, folder: Path, forms: list[str]) -> None:
    """Make the forms that are not there; each appears under its name only when it is whole."""
    makers = {
        "torch": _torch,
        "onnx": _onnx,
        "onnx-int8": lambda _, made: _onnx_int8(folder, made, per_channel=False),
        "onnx-int8-per-channel": lambda _, made: _onnx_int8(folder, made, per_channel=True),
        "openvino": lambda _, made: _openvino(folder, made),
        "openvino-int8": lambda _, made: _openvino_int8(folder, made),
    }
    needs = {"onnx": ["torch"], "openvino-int8": ["torch", "onnx", "openvino"]}
    for form in FORMS:
        later = [f for f in forms if form in needs.get(f, ["torch", "onnx"])]
        if (form in forms or later) and not (folder / form).exists():
            with tempfile.TemporaryDirectory(dir=folder) as work:
                made = Path(work) / form
                made.mkdir()
                makers[form](name, made) if form == "torch" else makers[form](folder, made)
                made.rename(folder / form)


def _torch(name: str, made: Path) -> None:
    """A model directory as sentence-transformers saves it, whose scores are the logits."""
    sys.path.insert(0, str(TESTS))
    from tiny_models import catalog, forms, weights
    from tiny_models.build import build

    made.rmdir()
    build(catalog.MINILM, made)
    if name != "minilm-l6":
        import transformers
        from sentence_transformers import CrossEncoder

        (made / "model.safetensors").unlink()
        (made / "config.json").unlink()
        if name == "bert-base":
            config = transformers.BertConfig(**_LARGE)
            model = transformers.BertForSequenceClassification(config)
        else:
            _xlmr_tokenizer(made)
            config = transformers.XLMRobertaConfig(
                **_LARGE,
                vocab_size=XLMR_VOCABULARY,
                hidden_size=384,
                intermediate_size=1536,
                max_position_embeddings=514,
                type_vocab_size=1,
                layer_norm_eps=1e-5,
            )
            model = transformers.XLMRobertaForSequenceClassification(config)
        weights.randomise(model, seed=0)
        model.save_pretrained(made)
        scored = CrossEncoder(str(made), device="cpu")
        head = scored.model.classifier
        weights.calibrate(scored, getattr(head, "out_proj", head))
        scored.model.save_pretrained(made)
    _spread(made)
    forms.edit_json(
        made / "config.json",
        lambda config: config.update(
            sentence_transformers={"activation_fn": "torch.nn.modules.linear.Identity"}
        ),
    )


def _spread(made: Path) -> None:
    """Move and scale the head until the logits of the bench's texts have mean 0 and `SPREAD`."""
    import torch
    from sentence_transformers import CrossEncoder

    from . import texts

    model = CrossEncoder(str(made), device="cpu", activation_fn=torch.nn.Identity())
    pairs = texts.Prose(texts.tokenizer_of(made)).pairs("msmarco", 8, 8, seed=1)
    logits = model.predict(pairs, show_progress_bar=False)
    head = getattr(model.model.classifier, "out_proj", model.model.classifier)
    with torch.no_grad():
        scale = SPREAD / float(logits.std())
        head.weight *= scale
        head.bias.copy_((head.bias - float(logits.mean())) * scale)
    model.model.save_pretrained(made)


def _xlmr_tokenizer(made: Path) -> None:
    """A unigram tokenizer of XLM-R's size: MiniLM's English words, and syllables up to 250,002."""
    import itertools

    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    english = (made / "vocab.txt").read_text("utf-8").splitlines()
    for file in made.glob("*"):
        file.unlink()
    english = [word for word in english if not word.startswith("[")]
    pieces = [w[2:] if w.startswith("##") else "▁" + w for w in english]
    pieces += [w.title() for w in pieces if len(w) > 2 and w[0] == "▁"]
    pieces += ["▁", *(chr(code) for code in range(33, 0x250))]
    syllables = [a + b for a in "bcdfghjklmnprstvwz" for b in "aeiou"]
    pieces += ["▁" + "".join(four) for four in itertools.product(syllables[:24], repeat=4)]
    pieces = list(dict.fromkeys(pieces))[: XLMR_VOCABULARY - 5]
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = [(piece, 0.0) for piece in specials]
    vocabulary += [(piece, -8 - 8 * rank / len(pieces)) for rank, piece in enumerate(pieces)]
    vocabulary += [("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=512,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(made)


def _onnx(folder: Path, made: Path) -> None:
    """plain.onnx as torch exports it, model.onnx with the fusions of ONNX Runtime's own tool."""
    import torch
    import transformers
    from onnxruntime.transformers import optimizer

    source = folder / "torch"
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        source, attn_implementation="eager"
    ).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    example = tokenizer([("one", "two three"), ("four", "")], padding=True, return_tensors="pt")
    names = list(example)

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs):
            return self.model(**dict(zip(names, inputs, strict=True))).logits

    torch.onnx.export(
        Logits(),
        tuple(example.values()),
        str(made / "plain.onnx"),
        input_names=names,
        output_names=["logits"],
        dynamic_axes={
            **{name: {0: "batch", 1: "tokens"} for name in names},
            "logits": {0: "batch"},
        },
        opset_version=17,
        dynamo=False,
    )
    config = model.config
    fused = optimizer.optimize_model(
        str(made / "plain.onnx"),
        model_type="bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        opt_level=1,
    )
    fused.save_model_to_file(str(made / "model.onnx"))


def _onnx_int8(folder: Path, made: Path, per_channel: bool) -> None:
    """From the plain graph: over the fused one it came out slower and further from fp32."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        folder / "onnx" / "plain.onnx",
        made / "model.onnx",
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
    )


def _openvino(folder: Path, made: Path) -> None:
    import openvino

    model = openvino.convert_model(folder / "onnx" / "plain.onnx")
    openvino.save_model(model, made / "model.xml", compress_to_fp16=False)


def _openvino_int8(folder: Path, made: Path) -> None:
    """Weights and activations in int8, calibrated on pairs of every length."""
    import nncf
    import openvino

    from . import texts
    from .engines import Encoder

    model = openvino.Core().read_model(folder / "openvino" / "model.xml")
    encoder = Encoder(folder / "torch", [node.any_name for node in model.inputs])
    prose = texts.Prose(encoder.tokenizer)
    each = _CALIBRATION_PAIRS // len(texts.PROFILES)
    samples = [
        encoder.batch(encoder.encode([pair]))
        for profile in texts.PROFILES
        for pair in prose.pairs(profile, 1, each, seed=1)
    ]
    quantised = nncf.quantize(
        model,
        nncf.Dataset(samples),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(samples),
    )
    openvino.save_model(quantised, made / "model.xml")


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
