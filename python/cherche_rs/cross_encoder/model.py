"""A loaded model: what it was made from, where it is, how long its sequences may be."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core, activations, hub
from . import arguments
from .opening import FromDirectory, InMemory, canonical, default_model
from .prompts import Prompts, saved_settings

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger("cherche_rs")

#: What stands for "no limit" where neither tokenizer nor positions give one.
NO_LIMIT = 2**31 - 1


class Model:
    """What :class:`CrossEncoder` is before it scores anything."""

    _open: FromDirectory | InMemory

    @arguments.accepts_old_names(
        positional=("num_labels", "max_length", "activation_fn", "device"),
        without_effect=("classifier_dropout",),
        model_name="model_name_or_path",
        automodel_args="model_kwargs",
        tokenizer_args="processor_kwargs",
        tokenizer_kwargs="processor_kwargs",
        config_args="config_kwargs",
        cache_dir="cache_folder",
        default_activation_function="activation_fn",
    )
    def __init__(
        self,
        model_name_or_path: str | os.PathLike[str] | None = None,
        *,
        modules: Any = None,
        device: Any = None,
        prompts: dict[str, str] | None = None,
        default_prompt_name: str | None = None,
        cache_folder: str | os.PathLike[str] | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
        processor_kwargs: Mapping[str, Any] | None = None,
        config_kwargs: Mapping[str, Any] | None = None,
        model_card_data: Any = None,
        backend: str = "torch",
        num_labels: int | None = None,
        max_length: int | None = None,
        activation_fn: Callable[[Any], Any] | None = None,
        keep_in_fp32_modules: list[str] | None = None,
        dtype: Any = None,
    ) -> None:
        arguments.refuse(
            "modules", modules, "build the model with sentence_transformers, and give it to "
            "CrossEncoder.from_sentence_transformers"
        )  # fmt: skip
        arguments.refuse("backend", backend != "torch" and backend, "leave it out")
        asked = arguments.model_arguments(model_kwargs)
        tokenizer, limit = arguments.tokenizer_arguments(processor_kwargs)
        labels = arguments.config_arguments(config_kwargs)
        directory = hub.model_directory(
            default_model() if model_name_or_path is None else model_name_or_path,
            revision=revision,
            token=token,
            cache_folder=cache_folder,
            local_files_only=local_files_only,
        )
        device = asked.get("device", "cpu" if device is None else device)
        # transformers' "auto" means the checkpoint's format, whose numbers float32 gives; our own
        # means the fastest format that keeps rankings.
        dtype = arguments.dtype_name(dtype) or asked.get("dtype") or "float32"
        self._open = FromDirectory(directory, dtype, tokenizer)
        engine, self.device = self._open(device)
        self.dtype = engine.dtype
        if engine.note:
            logger.warning(engine.note)
        saved = saved_settings(directory)
        expected = labels if num_labels is None else num_labels
        if expected is not None and expected != engine.num_labels:
            raise ValueError(
                f"num_labels={expected}: the classifier of {directory} has {engine.num_labels}; "
                "a new head would be random, and would have to be trained first"
            )
        if keep_in_fp32_modules and dtype != "float32":
            raise ValueError(f"keep_in_fp32_modules is not supported with dtype={dtype!r}")
        self._set_up(
            engine,
            limit if max_length is None else max_length,
            activations.wrap(activation_fn)
            if activation_fn is not None
            else activations.of_directory(directory, engine.num_labels, saved),
            Prompts(prompts, default_prompt_name, saved),
        )

    def _set_up(
        self,
        engine: _core.CrossEncoder,
        max_length: int | None,
        activation: activations.Activation,
        prompts: Prompts,
    ) -> None:
        self._engine = engine
        self._max_length: int = engine.max_length or NO_LIMIT
        if max_length is not None:
            self.max_length = max_length
        self._activation = activation
        self._prompts = prompts
        self._warned = False

    @classmethod
    def from_sentence_transformers(cls, model: Any) -> Self:
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
        self._open = InMemory(model)
        engine, self.device = self._open(None)
        self.dtype = "float32"
        held = model.max_seq_length if hasattr(model, "max_seq_length") else model.max_length
        self._set_up(
            engine,
            min(held or NO_LIMIT, engine.max_positions or NO_LIMIT),
            activations.wrap(model.activation_fn),
            Prompts(getattr(model, "prompts", None), getattr(model, "default_prompt_name", None)),
        )
        return self

    @property
    def max_length(self) -> int:
        """Longest sequence in tokens, special tokens included; settable."""
        return self._max_length

    @max_length.setter
    def max_length(self, value: int) -> None:
        self._max_length = self._checked_length(value)

    max_seq_length = max_length

    def _checked_length(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"max_length must be an int, got {type(value).__name__}")
        most, least = self._engine.max_positions, self._engine.special_tokens
        if value < least or (most is not None and value > most):
            allowed = f"at least {least}" if most is None else f"between {least} and {most}"
            raise ValueError(
                f"max_length={value}: this model allows {allowed}, of which {least} are special "
                "tokens"
            )
        return int(value)

    @property
    def activation_fn(self) -> activations.Activation:
        """What is applied to the logits; settable to a torch module or any function of a tensor."""
        return self._activation

    @activation_fn.setter
    def activation_fn(self, function: Callable[[Any], Any]) -> None:
        self._activation = activations.wrap(function)

    default_activation_function = activation_fn

    @property
    def num_labels(self) -> int:
        """Number of outputs per pair."""
        return self._engine.num_labels

    @property
    def prompts(self) -> dict[str, str]:
        """Prompts by name."""
        return self._prompts.texts

    @property
    def default_prompt_name(self) -> str | None:
        """Name of the prompt that is used when none is asked for."""
        return self._prompts.default

    def to(self, device: Any) -> Self:
        """Move the model to a device and return it.

        Raises
        ------
        ValueError
            If there is no such device, or the model lives in the memory of another.
        """
        if canonical(arguments.device_name(device)) != canonical(self.device):
            self._engine, self.device = self._open(device)
        return self

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self._engine.family}, num_labels={self.num_labels}, "
            f"max_length={self.max_length}, device={self.device!r}, dtype={self.dtype!r})"
        )

    def __getstate__(self) -> dict[str, Any]:
        # The weights stay where they are: the engine is opened again.
        return {**vars(self), "_engine": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._engine, self.device = self._open(self.device)

    def __copy__(self) -> Self:
        twin = type(self).__new__(type(self))
        vars(twin).update(vars(self))
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # The engine is read-only: a copy may share it.
        twin = copy.copy(self)
        memo[id(self)] = twin
        twin._prompts = copy.deepcopy(self._prompts, memo)
        return twin
