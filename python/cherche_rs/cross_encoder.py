"""The cross-encoder: sentence-transformers' interface over the Rust core."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import _core, _libtorch, activations, hub
from ._progress import counter
from .encoders import DEFAULT_MODEL
from .in_memory import engine_of

logger = logging.getLogger(__name__)

#: What stands for "no limit" where neither tokenizer nor positions give one.
NO_LIMIT = 2**31 - 1


class CrossEncoder:
    """Scores pairs of texts with a transformer that reads both together.

    Parameters
    ----------
    model_name_or_path
        A local directory, or the name of a model on the Hugging Face hub (``cross-encoder/`` is put
        before a name without owner). Left out, the model embedded in the package.
    device
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``; CPU if left out.
    max_length
        Longest sequence in tokens, special tokens included. Left out, what the tokenizer states,
        within the positions the model has.
    activation_fn
        What is applied to the logits: a torch module or any function of a tensor. Left out, what
        the model's configuration names; else Sigmoid for one label and Identity for several.
    dtype
        Number format of the forward pass: ``"float32"`` (the default) or ``"bfloat16"``.
    revision, token, cache_folder, local_files_only
        For models on the hub, see :func:`cherche_rs.hub.model_directory`.

    Raises
    ------
    FileNotFoundError
        If there is no such directory or model, or it lacks config, weights or tokenizer.
    ValueError
        If the architecture is not supported, the checkpoint does not fit it or is damaged, the
        device does not exist, or ``max_length`` is beyond the model's positions.

    Notes
    -----
    Pairs are sorted by length and scored in batches without padding; a text is tokenised once and
    equal pairs are scored once, whatever ``batch_size``. One instance may be used from many
    threads.

    References
    ----------
    Nogueira and Cho, Passage Re-ranking with BERT, 2019.
    """

    def __init__(
        self,
        model_name_or_path: str | os.PathLike[str] | None = None,
        *,
        device: str | None = None,
        max_length: int | None = None,
        activation_fn: Callable[[Any], Any] | None = None,
        dtype: str | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_folder: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
    ) -> None:
        if model_name_or_path is None:
            if not DEFAULT_MODEL.is_dir():
                raise ValueError(
                    "this build of cherche_rs embeds no default model: give the name of a model or "
                    "a directory"
                )
            model_name_or_path = DEFAULT_MODEL
        directory = hub.model_directory(
            model_name_or_path,
            revision=revision,
            token=token,
            cache_folder=cache_folder,
            local_files_only=local_files_only,
        )
        self.device = "cpu" if device is None else str(device)
        self.dtype = dtype or "float32"
        if self.device.partition(":")[0] == "cuda":
            _libtorch.load_cuda()
        engine = _core.CrossEncoder(directory, self.device, self.dtype)
        self._set_up(
            engine,
            max_length,
            activations.wrap(activation_fn)
            if activation_fn is not None
            else activations.of_directory(directory, engine.num_labels),
        )
        self._recipe: tuple[Callable[..., CrossEncoder], tuple[Any, ...], dict[str, Any]] = (
            type(self),
            (str(directory),),
            {"device": self.device, "dtype": self.dtype},
        )

    def _set_up(
        self, engine: _core.CrossEncoder, max_length: int | None, activation: activations.Activation
    ) -> None:
        self._engine = engine
        self._max_length: int = engine.max_length or NO_LIMIT
        if max_length is not None:
            self.max_length = max_length
        self.activation_fn = activation

    @classmethod
    def from_sentence_transformers(cls, model: Any) -> CrossEncoder:
        """Run a ``sentence_transformers.CrossEncoder`` on the weights and tokenizer it holds.

        Parameters
        ----------
        model
            The model; its memory is used, not copied, where the number format allows. It is neither
            changed nor imported from.

        Raises
        ------
        ValueError
            If the model cannot be run natively, saying why.
        """
        self = cls.__new__(cls)
        engine, self.device, self.dtype = engine_of(model)
        held = model.max_seq_length if hasattr(model, "max_seq_length") else model.max_length
        limit = min(held or NO_LIMIT, engine.max_positions or NO_LIMIT)
        self._set_up(engine, limit, activations.wrap(model.activation_fn))
        self._recipe = (cls.from_sentence_transformers, (model,), {})
        return self

    @property
    def max_length(self) -> int:
        """Longest sequence in tokens, special tokens included; settable."""
        return self._max_length

    @max_length.setter
    def max_length(self, value: int) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"max_length must be an int, got {type(value).__name__}")
        positions = self._engine.max_positions
        if value < 1 or (positions is not None and value > positions):
            allowed = "at least 1" if positions is None else f"between 1 and {positions}"
            raise ValueError(f"max_length={value}: this model allows {allowed}")
        self._max_length = int(value)

    max_seq_length = max_length

    @property
    def num_labels(self) -> int:
        """Number of outputs per pair."""
        return self._engine.num_labels

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self._engine.family}, num_labels={self.num_labels}, "
            f"max_length={self.max_length}, device={self.device!r}, dtype={self.dtype!r})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        state = {"max_length": self._max_length, "activation_fn": self.activation_fn}
        return _rebuild, (*self._recipe, state)

    def __deepcopy__(self, memo: dict[int, Any]) -> CrossEncoder:
        # The engine is read-only: a copy may share it.
        twin = copy.copy(self)
        memo[id(self)] = twin
        return twin

    def __copy__(self) -> CrossEncoder:
        twin = type(self).__new__(type(self))
        vars(twin).update(vars(self))
        return twin

    def predict(
        self,
        inputs: Any,
        *,
        batch_size: int = 32,
        show_progress_bar: bool | str | None = None,
        activation_fn: Callable[[Any], Any] | None = None,
        apply_softmax: bool | None = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
    ) -> Any:
        """Score pairs of texts.

        Parameters
        ----------
        inputs
            A list, tuple or two-dimensional string array of pairs (query, document); or one pair.
        batch_size
            Accepted for compatibility: batches are cut by their number of tokens.
        show_progress_bar
            Show a bar, with this name if it is a string; left out, only at logging level INFO or
            DEBUG.
        activation_fn
            In place of the model's own.
        apply_softmax
            Softmax over the labels, after the activation.
        convert_to_numpy, convert_to_tensor
            An array, a torch tensor, or, with neither, a list of torch scalars or vectors.

        Returns
        -------
        numpy.ndarray
            float32 of shape (n_pairs,) for one label, (n_pairs, n_labels) for several; one score or
            row for one pair.

        Raises
        ------
        ValueError
            If the inputs are not pairs of strings, or the scores are not finite.
        """
        if batch_size <= 0:
            raise ValueError(f"batch_size must be a positive integer, got {batch_size}.")
        pairs, single = _pairs(inputs)
        logits = self._score(pairs, show_progress_bar)
        activation = (
            self.activation_fn if activation_fn is None else activations.wrap(activation_fn)
        )
        scores = activation(logits) if len(pairs) else logits
        if self.num_labels == 1 and scores.ndim > 1:
            scores = scores[:, 0]
        if apply_softmax and scores.ndim > 1:
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores /= scores.sum(axis=1, keepdims=True)
        scores = np.ascontiguousarray(scores, dtype=np.float32)
        if convert_to_tensor or not convert_to_numpy:
            import torch

            tensor = torch.from_numpy(scores)
            converted: Any = tensor.to(self.device) if convert_to_tensor else list(tensor)
            return converted[0] if single else converted
        return scores[0] if single else scores

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        top_k: int | None = None,
        return_documents: bool = False,
        *,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: Callable[[Any], Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Order documents by their score with a query.

        Parameters
        ----------
        query
            The query.
        documents
            The texts to order.
        top_k
            How many to return; all if left out.
        return_documents
            Add the text to each entry.
        batch_size, show_progress_bar, activation_fn
            As for :meth:`predict`.

        Returns
        -------
        list of dict
            ``{"corpus_id": int, "score": float}`` and, on request, ``"text"``; the highest score
            first, equal ones in the order of ``documents``.

        Raises
        ------
        ValueError
            If the model has several labels.
        """
        if self.num_labels != 1:
            raise ValueError(
                f"rank() needs a model with one label, not {self.num_labels}: use predict()"
            )
        documents = list(documents)
        scores = self.predict(
            [(query, document) for document in documents],
            batch_size=batch_size,
            show_progress_bar=show_progress_bar,
            activation_fn=activation_fn,
        )
        order = np.argsort(-scores, kind="stable")[:top_k]
        return [
            {
                "corpus_id": int(i),
                "score": float(scores[i]),
                **({"text": documents[i]} if return_documents else {}),
            }
            for i in order
        ]

    def score(self, text_pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return the scores of pairs as a list of floats (LangChain's ``BaseCrossEncoder``)."""
        return [float(score) for score in self.predict(list(text_pairs))]

    def _score(self, pairs: list[Any], show_progress_bar: bool | str | None) -> np.ndarray:
        if show_progress_bar is None:
            show_progress_bar = logger.getEffectiveLevel() in (logging.INFO, logging.DEBUG)
        if not show_progress_bar:
            return self._engine.score(pairs, self._max_length)[0]
        name = show_progress_bar if isinstance(show_progress_bar, str) else "Pairs"
        with counter(len(pairs), name) as advance:
            return self._engine.score(pairs, self._max_length, progress=advance)[0]


def _rebuild(
    make: Callable[..., CrossEncoder],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    state: dict[str, Any],
) -> CrossEncoder:
    """Load a pickled model again: the weights stay where they were."""
    model = make(*args, **kwargs)
    model.max_length = state["max_length"]
    model.activation_fn = state["activation_fn"]
    return model


def _pairs(inputs: Any) -> tuple[list[Any], bool]:
    """Return a list of pairs, and whether the input was one pair (sentence-transformers' rule)."""
    if isinstance(inputs, np.ndarray):
        if inputs.dtype.kind not in ("U", "O") and inputs.size:
            raise ValueError(f"inputs must be pairs of texts, got an array of {inputs.dtype}")
        single = inputs.size > 0 and inputs.ndim < 2
        listed = inputs.tolist()
        return ([listed] if single else [tuple(pair) for pair in listed]), single
    if not isinstance(inputs, (list, tuple)):
        # datasets.Column is a sequence of rows; importing datasets to ask would cost a second.
        if type(inputs).__module__.partition(".")[0] == "datasets":
            return list(inputs), False
        raise ValueError(
            f"inputs must be a list of pairs (query, document), got {type(inputs).__name__}"
        )
    if len(inputs) > 0 and not isinstance(inputs[0], (list, tuple)):
        if len(inputs) != 2 or isinstance(inputs[0], np.ndarray):
            return [tuple(pair) if isinstance(pair, np.ndarray) else pair for pair in inputs], False
        return [tuple(inputs)], True
    return list(inputs), False
