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
