"""Small tokenizers trained on `texts.training_corpus`, saved through transformers' own classes.

Each recipe first writes the files the family was published with (vocab.txt, vocab.json and
merges.txt, or a sentencepiece model); transformers then loads and saves them, so that what lies in
a model directory is what transformers makes of them.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache, partial
from pathlib import Path

import texts
import transformers
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

VOCAB_SIZE = 900

_BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def save(kind: str, folder: Path, **options) -> None:
    """Write tokenizer `kind` into `folder`; `options` go to the transformers class."""
    if kind in _FAST_ONLY:
        _FAST_ONLY[kind](**options).save_pretrained(folder)
        return
    class_name, write_source = _FROM_SOURCE[kind]
    source = folder / ".source"
    source.mkdir()
    write_source(source)
    tokenizer = getattr(transformers, class_name).from_pretrained(source, **options)
    tokenizer.save_pretrained(folder)
    for file in source.iterdir():
        file.unlink()
    source.rmdir()


def save_source(kind: str, folder: Path, **config) -> None:
    """Write only the files the family was first published with, and a tokenizer_config.json."""
    class_name, write_source = _FROM_SOURCE[kind]
    write_source(folder)
    config = {"tokenizer_class": class_name, **config}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2))


@cache
def _wordpiece_vocabulary(lowercase: bool, specials: tuple[str, ...]) -> list[str]:
    """Characters, and the word beginnings and endings that cover most text.

    Counted here because the trainer of the tokenizers package breaks ties at random.
    """
    normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    counts = Counter(
        word
        for line in texts.training_corpus()
        for word, _ in split(normalizer.normalize_str(line))
    )
    covered: Counter[str] = Counter()
    for word, count in counts.items():
        for size in range(2, len(word) + 1):
            covered[word[:size]] += count * size
            covered["##" + word[-size:]] += count * size
    characters = sorted({character for word in counts for character in word})
    single = [*characters, *("##" + character for character in characters)]
    common = sorted(covered, key=lambda piece: (-covered[piece], piece))
    return list(dict.fromkeys([*specials, *single, *common]))[:VOCAB_SIZE]


def _write_wordpiece(folder: Path, lowercase: bool = True, specials=tuple(_BERT)) -> None:
    lines = "\n".join(_wordpiece_vocabulary(lowercase, tuple(specials)))
    (folder / "vocab.txt").write_text(lines + "\n", encoding="utf-8")


@cache
def _byte_level_bpe(specials: tuple[str, ...]) -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # Alone on a line, so that the answers of yes/no rerankers become tokens of their own.
    tokenizer.train_from_iterator([*texts.training_corpus(), *["yes", "no"] * 500], trainer)
    return tokenizer.to_str()


@cache
def _metaspace_bpe(specials: tuple[str, ...]) -> str:
    """A BPE over ▁-marked text with byte fallback, the way Llama's and Gemma's vocabularies are."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    # Trained on whole words: without this the trainer would merge across blanks.
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE + 256,
        special_tokens=[*specials, *byte_tokens],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts.training_corpus(), trainer)
    return tokenizer.to_str()


def _write_bpe(folder: Path, trained: str) -> None:
    model = json.loads(trained)["model"]
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), "utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf-8")


@cache
def _sentencepiece(lowercase: bool, specials: tuple[str, ...], meta: tuple) -> bytes:
    import io

    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts.training_corpus()),
        model_writer=model,
        vocab_size=VOCAB_SIZE,
        model_type="unigram",
        normalization_rule_name="nmt_nfkc_cf" if lowercase else "nmt_nfkc",
        character_coverage=0.9995,
        user_defined_symbols=list(specials),
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        **dict(meta),
    )
    return model.getvalue()


def _write_spm(folder: Path, name: str, lowercase: bool = False, specials=(), **meta) -> None:
    content = _sentencepiece(lowercase, tuple(specials), tuple(sorted(meta.items())))
    (folder / name).write_bytes(content)


def _from_merges(class_name: str, specials: tuple[str, ...], **options):
    model = json.loads(_metaspace_bpe(specials))["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    return getattr(transformers, class_name)(vocab=model["vocab"], merges=merges, **options)


def _modernbert(**options):
    """A byte-level BPE used verbatim (`PreTrainedTokenizerFast`), as ModernBERT's is."""
    specials = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    tokenizer = Tokenizer.from_str(_byte_level_bpe(tuple(specials)))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(t, tokenizer.token_to_id(t)) for t in ("[CLS]", "[SEP]")],
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "attention_mask"],
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        clean_up_tokenization_spaces=True,
        **options,
    )


def _verbatim_wordpiece(lowercase: bool = True, **options):
    """A WordPiece tokenizer.json that no transformers class rebuilds."""
    vocabulary = {t: i for i, t in enumerate(_wordpiece_vocabulary(lowercase, tuple(_BERT)))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(t, vocabulary[t]) for t in ("[CLS]", "[SEP]")],
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        **options,
    )


_QWEN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

#: kind -> (transformers class, writer of the files it was published with)
_FROM_SOURCE = {
    "bert": ("BertTokenizer", _write_wordpiece),
    "bert-cased": ("BertTokenizer", lambda f: _write_wordpiece(f, lowercase=False)),
    "electra": ("ElectraTokenizer", _write_wordpiece),
    "distilbert": ("DistilBertTokenizer", _write_wordpiece),
    "mpnet": (
        "MPNetTokenizer",
        lambda f: _write_wordpiece(
            f, specials=("<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>")
        ),
    ),
    "roberta": ("RobertaTokenizer", lambda f: _write_bpe(f, _byte_level_bpe(tuple(_ROBERTA)))),
    "deberta": (
        "DebertaTokenizer",
        lambda f: _write_bpe(f, _byte_level_bpe(("[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"))),
    ),
    "qwen2": ("Qwen2Tokenizer", lambda f: _write_bpe(f, _byte_level_bpe(_QWEN))),
    "xlm-roberta": ("XLMRobertaTokenizer", lambda f: _write_spm(f, "sentencepiece.bpe.model")),
    "camembert": (
        "CamembertTokenizer",
        lambda f: _write_spm(
            f,
            "sentencepiece.bpe.model",
            unk_id=0,
            bos_id=1,
            eos_id=2,
        ),
    ),
    "albert": (
        "AlbertTokenizer",
        lambda f: _write_spm(
            f,
            "spiece.model",
            lowercase=True,
            specials=("[CLS]", "[SEP]", "[MASK]"),
            pad_id=0,
            unk_id=1,
            bos_id=-1,
            eos_id=-1,
        ),
    ),
    "deberta-v2": (
        "DebertaV2Tokenizer",
        lambda f: _write_spm(
            f,
            "spm.model",
            pad_id=0,
            pad_piece="[PAD]",
            bos_id=1,
            bos_piece="[CLS]",
            eos_id=2,
            eos_piece="[SEP]",
            unk_id=3,
            unk_piece="[UNK]",
            specials=("[MASK]",),
        ),
    ),
}
#: kind -> constructor, for families published as a tokenizer.json
_FAST_ONLY = {
    "modernbert": _modernbert,
    "verbatim-wordpiece": _verbatim_wordpiece,
    "llama": partial(_from_merges, "LlamaTokenizer", ("<unk>", "<s>", "</s>")),
    "gemma": partial(
        _from_merges, "GemmaTokenizer", ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
    ),
}
