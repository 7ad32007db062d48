"""What may be given to a ranker as its cross-encoder, and how each kind is run.

A model is run by the Rust core wherever it can be: given by name, as a directory, as our own
`CrossEncoder`, or as one of sentence-transformers', with the weights it holds in memory. Anything
else is a function, called as cherche calls it. sentence-transformers is never imported here.
"""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cross_encoder import CrossEncoder

logger = logging.getLogger("cherche_rs")

DEFAULT_MODEL = Path(__file__).with_name("default_model")

#: Models of sentence-transformers whose slow path was already announced.
_announced: weakref.WeakSet[Any] = weakref.WeakSet()


def load(encoder: Any) -> Any:
    """Load the model that a name, a directory or None (the embedded one) stands for.

    Anything else is returned as it is.

    Raises
    ------
    ValueError
        If there is no embedded model.
    """
    if encoder is None:
        if not DEFAULT_MODEL.is_dir():
            raise ValueError(
                "no encoder was given, and this build of cherche_rs embeds no default model: "
                "give the name of a model, a directory, a CrossEncoder, or a function"
            )
        encoder = DEFAULT_MODEL
    if isinstance(encoder, (str, os.PathLike)):
        from .cross_encoder import CrossEncoder

        return CrossEncoder(encoder)
    return encoder


def native(encoder: Any) -> CrossEncoder | None:
    """Return the model of the Rust core that gives this encoder's scores; None if there is none.

    Parameters
    ----------
    encoder
        A model, the bound ``predict`` of one, or any other callable.
    """
    model = predictor(encoder)
    if model is None:
        return None

    from .cross_encoder import CrossEncoder

    if isinstance(model, CrossEncoder):
        return model
    if is_sentence_transformer(model):
        try:
            return CrossEncoder.from_sentence_transformers(model)
        except Exception as error:
            # Whatever it is: the model itself still works.
            if model not in _announced:
                _announced.add(model)
                logger.warning(
                    "this sentence_transformers.CrossEncoder is called as it is, "
                    "not run by cherche_rs: %s",
                    error if isinstance(error, ValueError) else repr(error),
                )
    return None


def function(encoder: Any) -> Callable[[list[tuple[str, str]]], Any]:
    """Return what to call with a list of pairs.

    Raises
    ------
    TypeError
        If the encoder cannot be called.
    """
    if is_sentence_transformer(encoder):
        # The module itself is callable too, with tensors.
        predict: Callable[[list[tuple[str, str]]], Any] = encoder.predict
        return predict
    if callable(encoder):
        found: Callable[[list[tuple[str, str]]], Any] = encoder
        return found
    raise TypeError(
        "an encoder must be the name of a model, a directory, a CrossEncoder, its predict, or a "
        f"function from pairs to scores, got {type(encoder).__name__}"
    )


def predictor(encoder: Any) -> Any:
    """Return the model behind an encoder: itself, or the owner of a bound ``predict``.

    None where ``predict`` is not the method of our class or sentence-transformers' (a subclass or
    an instance may change it): such an encoder has to be called.
    """
    model = getattr(encoder, "__self__", encoder)
    called = getattr(encoder, "__func__", None)
    if "predict" in getattr(model, "__dict__", ()):
        return None
    for cls in type(model).__mro__:
        if "predict" in vars(cls):
            known = cls.__module__.partition(".")[0] in ("cherche_rs", "sentence_transformers")
            unchanged = called is None or called is vars(cls)["predict"]
            return model if known and unchanged else None
    return None


def settings(encoder: Any) -> tuple[Any, ...] | None:
    """Return what may be set on a model of sentence-transformers after a ranker was made of it."""
    model = predictor(encoder)
    if model is None or not is_sentence_transformer(model):
        return None
    length = "max_seq_length" if hasattr(model, "max_seq_length") else "max_length"
    default = getattr(model, "default_prompt_name", None)
    prompt = (getattr(model, "prompts", None) or {}).get(default)
    return getattr(model, length), model.activation_fn, str(model.device), prompt


def is_sentence_transformer(model: Any) -> bool:
    """Tell whether a model is a ``sentence_transformers.CrossEncoder``."""
    return any(
        cls.__name__ == "CrossEncoder"
        and cls.__module__.partition(".")[0] == "sentence_transformers"
        for cls in type(model).__mro__
    )
