"""Arguments as sentence-transformers takes them: old names, and what has one meaning here."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

#: Choices of how transformers computes the same numbers: there is nothing to choose here.
_HOW_NOT_WHAT = {
    "attn_implementation",
    "low_cpu_mem_usage",
    "use_safetensors",
    "use_fast",
    "padding_side",
    "trust_remote_code",
}
#: What only training uses.
_DROPOUTS = {
    "classifier_dropout",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "dropout",
    "attention_dropout",
    "seq_classif_dropout",
    "pooler_dropout",
}
#: What tokenizer_config.json may say, and an argument may say instead.
_TOKENIZER = {
    "do_lower_case",
    "strip_accents",
    "tokenize_chinese_chars",
    "add_prefix_space",
    "keep_accents",
    "split_by_punct",
    "truncation_side",
    "tokenizer_class",
}


def accepts_old_names(
    *, positional: tuple[str, ...] = (), without_effect: tuple[str, ...] = (), **new_names: str
) -> Callable[[F], F]:
    """Make a method take arguments under the names they once had, with a DeprecationWarning.

    Parameters
    ----------
    positional
        Keyword-only arguments that were once given by position, in order, after the first.
    without_effect
        Names of arguments that no longer do anything.
    new_names
        The new name of each old one. Where both are given, the new one counts.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            if positional and len(args) > 1:
                if len(args) > 1 + len(positional):
                    raise TypeError(
                        f"{function.__qualname__} takes {1 + len(positional)} arguments by "
                        f"position at most, got {len(args)}"
                    )
                for name, value in zip(positional, args[1:], strict=False):
                    _warn(f"give {name} by its name: {name}={value!r}")
                    kwargs.setdefault(name, value)
                args = args[:1]
            for old, new in new_names.items():
                if old in kwargs:
                    _warn(f"the argument {old} is now called {new}")
                    kwargs.setdefault(new, kwargs[old])
                    del kwargs[old]
            for name in without_effect:
                if name in kwargs:
                    _warn(f"the argument {name} has no effect")
                    del kwargs[name]
            return function(self, *args, **kwargs)

        return wrapper  # type: ignore[return-value]

    return decorate


def _warn(message: str) -> None:
    warnings.warn(message, DeprecationWarning, stacklevel=3)


def refuse(name: str, value: Any, because: str) -> None:
    """Raise a ValueError if an argument that cannot be honoured was given."""
    if value:
        raise ValueError(f"{name}={value!r} is not supported: {because}")


def model_arguments(model_kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what `model_kwargs` says about our own arguments ``dtype`` and ``device``.

    Raises
    ------
    TypeError
        If it holds a name that has no meaning here.
    ValueError
        If it asks for several devices.
    """
    found: dict[str, Any] = {}
    for name, value in dict(model_kwargs or {}).items():
        if name in ("dtype", "torch_dtype"):
            wanted = dtype_name(value)
            found["dtype"] = None if wanted == "auto" else wanted
        elif name == "device_map":
            if isinstance(value, Mapping) or value in ("auto", "balanced", "sequential"):
                raise ValueError(
                    f"device_map={value!r} is not supported: a model runs on one device; "
                    'give device="cuda:0" or the like'
                )
            found["device"] = device_name(value)
        elif name not in _HOW_NOT_WHAT:
            raise _unknown("model_kwargs", name, ["dtype", "device_map"])
    return found


def tokenizer_arguments(
    processor_kwargs: Mapping[str, Any] | None,
) -> tuple[dict[str, Any], int | None]:
    """Return what stands in for entries of tokenizer_config.json, and the max_length it gives.

    Raises
    ------
    TypeError
        If it holds a name that has no meaning here.
    """
    found = {k: v for k, v in dict(processor_kwargs or {}).items() if k not in _HOW_NOT_WHAT}
    max_length = found.pop("model_max_length", None)
    for name in found:
        if name not in _TOKENIZER:
            raise _unknown("processor_kwargs", name, ["model_max_length", *sorted(_TOKENIZER)])
    return found, max_length


def config_arguments(config_kwargs: Mapping[str, Any] | None) -> int | None:
    """Return the number of labels that `config_kwargs` asks for, if it does.

    Raises
    ------
    TypeError
        If it holds anything else that scores depend on.
    """
    num_labels = None
    for name, value in dict(config_kwargs or {}).items():
        if name == "num_labels":
            num_labels = value
        elif name not in _DROPOUTS and name not in _HOW_NOT_WHAT:
            raise _unknown("config_kwargs", name, ["num_labels", "(dropouts, without effect)"])
    return num_labels


def processing_arguments(processing_kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the ``max_length`` and ``truncation`` of ``predict(processing_kwargs=...)``.

    Raises
    ------
    TypeError
        If it holds a name that has no meaning here.
    """
    found: dict[str, Any] = {}
    for part, values in dict(processing_kwargs or {}).items():
        for name, value in dict(values or {}).items():
            if part == "text" and name == "max_length":
                found["max_length"] = value
            elif part == "text" and name == "truncation":
                found["truncation"] = "longest_first" if value is True else value
            elif name not in ("padding", "return_tensors", "pad_to_multiple_of"):
                raise _unknown(f"processing_kwargs[{part!r}]", name, ["max_length", "truncation"])
    return found


def dtype_name(value: Any) -> str | None:
    """Return the name of a number format given by name or as a ``torch.dtype``."""
    return None if value is None else str(value).removeprefix("torch.")


def device_name(value: Any) -> str:
    """Return the name of one device, given by name, number or as a ``torch.device``.

    Raises
    ------
    ValueError
        If several devices are given.
    """
    if isinstance(value, (list, tuple)):
        if len(value) != 1:
            raise ValueError(
                f"device={value!r}: a model runs on one device, with all the threads it can use; "
                "load one model for each device to use several"
            )
        value = value[0]
    if isinstance(value, int) and not isinstance(value, bool):
        return f"cuda:{value}"
    return str(value)


def _unknown(where: str, name: str, known: list[str]) -> TypeError:
    return TypeError(
        f"{where} holds {name!r}, which has no meaning here; known: {', '.join(known)}"
    )
