"""From the name of a model to a local directory with its files.

The download, the cache, the token and the offline switches are huggingface_hub's own.
"""

from __future__ import annotations

import os
from pathlib import Path

#: Where a name without an owner belongs, as in sentence-transformers.
DEFAULT_OWNER = "cross-encoder"

CONFIGURATION = (
    "config.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "modules.json",
    # The folders that modules.json names: 1_Pooling, 2_Dense, ...
    "[0-9]*_*/*.json",
)
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "spm.model",
    "tokenizer.model",
    "chat_template.jinja",
    "additional_chat_templates/*.jinja",
)
SAFETENSORS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
    "[0-9]*_*/*.safetensors",
)
PICKLED = (
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "pytorch_model-*-of-*.bin",
    "[0-9]*_*/*.bin",
)


def model_directory(
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_folder: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
) -> Path:
    """Return the local directory of a model, downloading what is missing of it.

    Parameters
    ----------
    name
        A directory, which is used as it is, or the name of a model on the Hugging Face hub; a name
        without an owner belongs to ``cross-encoder/``.
    revision
        Branch, tag or commit of the model on the hub.
    token
        Access token for the hub; left out, the saved one or ``HF_TOKEN``. False sends none.
    cache_folder
        Where models are kept; left out, ``SENTENCE_TRANSFORMERS_HOME`` or huggingface_hub's cache.
    local_files_only
        Never ask the hub.

    Raises
    ------
    NotADirectoryError
        If the name is that of a file.
    FileNotFoundError
        If there is no such directory, no such model or revision on the hub, or if the hub cannot
        be asked and the model is not in the cache.
    PermissionError
        If the model is gated and the token gives no access to it.
    ValueError
        If the name cannot be that of a model.
    OSError
        If the hub answers by another error.
    """
    path = Path(name)
    if os.fspath(name) == "":
        raise ValueError("the empty name is neither a directory nor the name of a model")
    if path.is_dir():
        return path
    if path.exists():
        raise NotADirectoryError(
            f"{path} is a file; give the directory that holds config.json, the weights and the "
            "tokenizer"
        )
    repository = os.fspath(name)
    if isinstance(name, os.PathLike) or looks_local(repository):
        raise FileNotFoundError(
            f"there is no directory {repository!r}; a model on the hub is named 'owner/model'"
        )
    if "/" not in repository:
        repository = f"{DEFAULT_OWNER}/{repository}"
    return _download(repository, revision, token, cache_folder, local_files_only)


def looks_local(name: str) -> bool:
    """Tell whether a name can only be that of a directory."""
    return name.count("/") > 1 or os.path.isabs(name) or name[0] in ".~"


def has_safetensors(directory: Path) -> bool:
    """Tell whether a model has weights in the safetensors format."""
    return any(next(directory.glob(pattern), None) for pattern in SAFETENSORS)


def _download(
    repository: str,
    revision: str | None,
    token: str | bool | None,
    cache_folder: str | os.PathLike[str] | None,
    local_files_only: bool,
) -> Path:
    # Imported late: it takes a while, and local directories need none of it.
    from huggingface_hub import errors, snapshot_download

    folder = cache_folder or os.environ.get("SENTENCE_TRANSFORMERS_HOME")
    cache = Path(folder) if folder else None

    def download(patterns: tuple[str, ...]) -> Path:
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                token=token,
                cache_dir=cache,
                local_files_only=local_files_only,
                allow_patterns=list(patterns),
            )
        )

    try:
        directory = download(CONFIGURATION + TOKENIZER + SAFETENSORS)
        if not has_safetensors(directory):
            # Pickled weights are several times the download: only where there is nothing else.
            directory = download(CONFIGURATION + TOKENIZER + PICKLED)
        return directory
    except errors.HFValidationError as error:
        raise ValueError(
            f"{repository!r} is neither a directory nor the name of a model: {error}"
        ) from error
    except errors.GatedRepoError as error:
        raise PermissionError(
            f"access to the model {repository!r} has to be granted by its owners on the hub; ask "
            "for it there, then give a token: token=..., HF_TOKEN, or `hf auth login`"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"there is no directory {repository!r}, and the hub at {_endpoint()} knows no such "
            "model; a private one needs a token: token=..., HF_TOKEN, or `hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise FileNotFoundError(
            f"the model {repository!r} has no revision {revision!r} on the hub at {_endpoint()}"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise FileNotFoundError(
            f"the model {repository!r} is not (or not wholly) in the cache, and the hub at "
            f"{_endpoint()} was not reached ({_reason(error)}); copy the model's files into a "
            "directory and give its path in place of the name, or set SENTENCE_TRANSFORMERS_HOME "
            "or HF_HOME to a cache that holds it"
        ) from error


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _reason(error: BaseException) -> str:
    """Return the first line of what stopped the call to the hub."""
    cause = error.__cause__ or error
    return str(cause).strip().partition("\n")[0]
