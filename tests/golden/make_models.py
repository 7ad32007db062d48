"""Make the committed models and the numbers the reference gives for them.

Run from the root of the repository: ``python tests/golden/make_models.py``. The models let the
engine be checked where transformers is not installed; `tests/comparison` checks far more, live.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

import texts  # noqa: E402
from comparison import reference  # noqa: E402
from tiny_models.build import build  # noqa: E402
from tiny_models.catalog import SPECS  # noqa: E402

FOLDER = Path(__file__).parent
#: Small enough to commit: one per kind of forward pass, in half precision.
TEMPLATES = {
    "bert": "bert-relu-3-labels",
    "roberta": "roberta-base",
    "xlm-roberta": "xlmr-base",
    "distilbert": "distilbert-base",
    "electra": "electra-projected",
    "mpnet": "mpnet-base",
    "deberta": "deberta-base",
    "deberta-v2": "deberta-v3-base",
    "modernbert": "modernbert-mean",
    "qwen3": "qwen3-seq-cls",
}
WIDTH = {"hidden_size": 32, "intermediate_size": 48, "max_position_embeddings": 66}
DISTILBERT_WIDTH = {"dim": 32, "hidden_dim": 48, "max_position_embeddings": 66}


def spec_of(family: str):
    """The template, narrower and shorter."""
    template = SPECS[TEMPLATES[family]]
    config = dict(template.config)
    config |= DISTILBERT_WIDTH if family == "distilbert" else WIDTH
    if "pooler_hidden_size" in config:
        config["pooler_hidden_size"] = 32
    if "head_dim" in config:
        config["head_dim"] = 8
    if "embedding_size" in config:
        config["embedding_size"] = 16
    options = {**template.tokenizer_options, "model_max_length": 64}
    return replace(
        template, name=family, config=config, tokenizer_options=options, forms=("fp16",), hub=""
    )


def sample() -> list[tuple[str, str]]:
    # But for two empty texts: to a language model they are no text at all.
    return texts.nasty_pairs()[::2] + texts.length_pairs()[1:12] + texts.random_pairs(6)


def _compact(file: Path) -> None:
    content = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")


def main() -> None:
    models, expected = FOLDER / "models", {"pairs": sample(), "models": {}}
    shutil.rmtree(models, ignore_errors=True)
    models.mkdir()
    for family in TEMPLATES:
        folder = build(spec_of(family), models / family)
        _compact(folder / "tokenizer.json")
        cross_encoder = reference.load(folder)
        ids = cross_encoder.tokenizer(
            [list(pair) for pair in expected["pairs"]],
            truncation="longest_first",
            max_length=cross_encoder.max_seq_length,
        )["input_ids"]
        logits = reference.logits(cross_encoder, expected["pairs"])
        expected["models"][family] = {
            "max_length": cross_encoder.max_seq_length,
            "logits": [[float(f"{x:.7g}") for x in row] for row in logits.reshape(len(ids), -1)],
            "token_ids": ids,
        }
    lines = json.dumps(expected, ensure_ascii=True, separators=(",", ":"))
    (FOLDER / "expected.json").write_text(lines.replace('],"', '],\n"') + "\n")


if __name__ == "__main__":
    main()
