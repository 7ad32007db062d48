"""The reference: sentence-transformers' CrossEncoder, exact fp32 on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np

# Small, because the reference pads every pair to the longest of its batch.
BATCH_SIZE = 8


def load(folder: Path, **options):
    """`sentence_transformers.CrossEncoder` in fp32 with its eager attention."""
    import torch
    from sentence_transformers import CrossEncoder

    return CrossEncoder(
        str(folder),
        device="cpu",
        model_kwargs={"dtype": torch.float32, "attn_implementation": "eager"},
        **options,
    )


def logits(cross_encoder, pairs, batch_size: int = BATCH_SIZE) -> np.ndarray:
    """Scores before any activation, float32 of shape (n,) or (n, labels)."""
    import torch

    return cross_encoder.predict(
        pairs,
        batch_size=batch_size,
        activation_fn=torch.nn.Identity(),
        show_progress_bar=False,
    )


def token_ids(cross_encoder, pairs) -> list[list[int]]:
    """What the reference reads for each pair, without padding."""
    transformer = cross_encoder[0]
    if "message" in transformer.modality_config:
        return [transformer.preprocess([pair])["input_ids"][0].tolist() for pair in pairs]
    encoded = cross_encoder.tokenizer(
        [list(pair) for pair in pairs],
        truncation="longest_first",
        max_length=cross_encoder.max_seq_length,
    )
    return encoded["input_ids"]
