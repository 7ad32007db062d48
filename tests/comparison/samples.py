"""Which pairs a model is compared on, and how differences are judged."""

from __future__ import annotations

import numpy as np
import texts
from tiny_models.catalog import SPECS


def pairs_for(name: str) -> list[tuple[str, str]]:
    """Pairs the reference can score with model `name`."""
    kind = SPECS[name].kind
    decoder = "num_key_value_heads" in SPECS[name].config
    if kind == "minilm":
        # A real model is a thousand times larger: fewer and shorter texts.
        return texts.nasty_pairs() + texts.random_pairs(8)
    # Decoders put no special tokens around a pair: of two empty texts nothing is left to score.
    pairs = [pair for pair in texts.all_pairs() if any(pair) or not decoder]
    if kind == "yes-no-bare":
        # Nothing at all cannot be scored by a language model's last token.
        return [pair for pair in pairs if pair[1].strip()]
    return pairs


def assert_close(ours: np.ndarray, reference: np.ndarray, tolerance: float, pairs) -> None:
    """Compare scores, naming the worst pair."""
    assert ours.shape == reference.shape
    assert np.isfinite(ours).all()
    difference = np.abs(ours - reference).reshape(len(pairs), -1).max(1)
    worst = int(difference.argmax())
    assert difference[worst] <= tolerance, (
        f"pair {worst} {pairs[worst]!r:.200} differs by {difference[worst]:.2e} > {tolerance:.0e}: "
        f"{ours[worst]} instead of {reference[worst]}"
    )
