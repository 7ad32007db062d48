"""Named texts that are put in front of a query."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


def saved_settings(directory: Path) -> dict[str, Any]:
    """Return config_sentence_transformers.json of a cross-encoder saved with its modules.json.

    Without modules.json, or if the directory holds an embedding model, the file does not speak of
    this model: sentence-transformers leaves it unread, and so do we.
    """
    try:
        text = (directory / "config_sentence_transformers.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    settings: dict[str, Any] = json.loads(text)
    if not (directory / "modules.json").is_file() or settings.get("model_type") != "CrossEncoder":
        return {}
    return settings


class Prompts:
    """Prompts by name, and the name of the one to use when none is asked for.

    Raises
    ------
    ValueError
        If the default is not among them.
    """

    def __init__(
        self,
        given: dict[str, str] | None,
        default: str | None,
        saved: dict[str, Any] | None = None,
    ) -> None:
        saved = saved or {}
        self.texts: dict[str, str] = {**(saved.get("prompts") or {}), **(given or {})}
        self.texts = {name: text or "" for name, text in self.texts.items()}
        self.default = default if default is not None else saved.get("default_prompt_name")
        if self.default is not None and self.default not in self.texts:
            raise ValueError(
                f"default_prompt_name={self.default!r} is not among the prompts: "
                f"{sorted(self.texts)}"
            )

    def resolve(self, prompt: str | None, prompt_name: str | None) -> str | None:
        """Return the prompt of a call: the text given, else the one named, else the default.

        Raises
        ------
        ValueError
            If there is no prompt of that name.
        """
        if prompt is not None:
            if prompt_name is not None:
                logger.warning("both prompt and prompt_name were given: prompt counts")
            return prompt
        name = self.default if prompt_name is None else prompt_name
        if name is None:
            return None
        if name not in self.texts:
            raise ValueError(f"prompt_name={name!r} is not among the prompts: {sorted(self.texts)}")
        return self.texts[name]
