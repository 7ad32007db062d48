"""Word vectors for the student: a text's weighted mean of them follows the teacher's embedding.

The teacher's answer to each word piece alone is where they start (the idea of Model2Vec);
ridge regression over all texts then moves the pieces that texts use (the idea of Tokenlearn).
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

WIDTH = 124
TOKENS = 128  # the teacher sees no more of a text
RIDGE, ITERATIONS = 3.0, 25


def weights_of(tokens: list[np.ndarray], idf: np.ndarray) -> sp.csr_matrix:
    """Texts by pieces: inverse document frequencies, rows of length one."""
    rows, columns, values = [], [], []
    for row, text in enumerate(tokens):
        text = text[:TOKENS]
        if len(text):
            weights = idf[text]
            rows.append(np.full(len(text), row))
            columns.append(text)
            values.append(weights / np.sqrt((weights**2).sum()))
    places = (np.concatenate(rows), np.concatenate(columns))
    shape = (len(tokens), len(idf))
    return sp.csr_matrix((np.concatenate(values), places), shape, dtype=np.float32)


def tuned(
    tokens: list[np.ndarray], embeddings: np.ndarray, idf: np.ndarray, alone: np.ndarray
) -> np.ndarray:
    """Vectors whose weighted sums are the teacher's embeddings of the texts.

    Parameters
    ----------
    tokens, embeddings
        Texts as pieces, and what the teacher says to them, shape (texts, 384).
    idf
        Of the pieces.
    alone
        What the teacher says to each piece alone, shape (pieces, 384): the ridge pulls there.

    Returns
    -------
    numpy.ndarray
        Shape (pieces, WIDTH), on the principal axes of the embeddings, half whitened.
    """
    centred = embeddings.astype(np.float32) - embeddings.mean(axis=0, dtype=np.float32)
    values, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    values, axes = values[::-1][:WIDTH], axes[:, ::-1][:, :WIDTH]
    target = centred @ axes
    alone = alone.astype(np.float32)
    vectors = ((alone - alone.mean(axis=0)) @ axes).astype(np.float32)
    texts = weights_of(tokens, idf)
    transposed = texts.T.tocsr()
    sums = texts @ vectors
    vectors *= (sums * target).sum() / (sums**2).sum()
    # Conjugate gradients, each of the WIDTH columns by itself.
    change = np.zeros_like(vectors)
    residual = transposed @ (target - texts @ vectors)
    direction, length = residual.copy(), (residual**2).sum(axis=0)
    for _ in range(ITERATIONS):
        image = transposed @ (texts @ direction) + RIDGE * direction
        step = length / (direction * image).sum(axis=0)
        change += step * direction
        residual -= step * image
        shorter = (residual**2).sum(axis=0)
        direction = residual + shorter / length * direction
        length = shorter
    return (vectors + change) / values.astype(np.float32) ** 0.25
