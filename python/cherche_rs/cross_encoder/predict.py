"""Scoring pairs and ordering documents."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .. import _core, activations
from .._progress import counter
from . import arguments, results
from .inputs import as_documents, as_pairs, with_prompt
from .model import Model

logger = logging.getLogger(__name__)


class TruncationWarning(UserWarning):
    """Some texts were longer than the model reads."""


class CrossEncoder(Model):
    """Scores pairs of texts with a transformer that reads both together.

    Parameters
    ----------
    model_name_or_path
        A local directory, or the name of a model on the Hugging Face hub (``cross-encoder/`` is put
        before a name without owner). Left out, the model embedded in the package.
    device
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``; CPU if left out.
    prompts, default_prompt_name
        Texts by name that :meth:`predict` may put in front of the query, and the one it does put
        there when none is named. Left out, those saved with the model.
    cache_folder, revision, local_files_only, token
        For models on the hub, see :func:`cherche_rs.hub.model_directory`.
    model_kwargs
        ``dtype`` (or ``torch_dtype``), as `dtype` below; ``device_map`` for a device.
    processor_kwargs
        In place of what tokenizer_config.json says: ``model_max_length``, ``do_lower_case``,
        ``strip_accents``, ``tokenize_chinese_chars``, ``add_prefix_space``, ``truncation_side``.
    config_kwargs, num_labels
        ``num_labels`` must be what the checkpoint has; dropouts have no effect.
    max_length
        Longest sequence in tokens, special tokens included. Left out, what the tokenizer states,
        within the positions the model has.
    activation_fn
        What is applied to the logits: a torch module or any function of a tensor. Left out, what
        the model's configuration names; else Sigmoid for one label and Identity for several.
    dtype
        Number format of the forward pass: ``"float32"`` (the default); on a CPU with the
        instructions ``"bfloat16"`` (AVX512_BF16) and ``"int8"`` (AVX512_VNNI or AVX_VNNI: 8-bit
        products, float32 between them); on a GPU ``"float16"`` and ``"bfloat16"``; or ``"auto"``,
        half the bits where the hardware multiplies them. A CPU without the instructions uses
        float32 and a logged warning says so; :attr:`dtype` tells what is in use.
    trust_remote_code, backend, keep_in_fp32_modules, model_card_data, modules
        For sentence-transformers' callers. Remote code is never executed, the backend is always
        this one, and a model made of torch modules goes through :meth:`from_sentence_transformers`.

    Raises
    ------
    FileNotFoundError
        If there is no such directory or model, or it lacks config, weights or tokenizer.
    ValueError
        If the architecture is not supported, the checkpoint does not fit it or is damaged, the
        device does not exist, `max_length` is beyond the model's positions, or `num_labels` is not
        the checkpoint's.
    TypeError
        If an argument, or an entry of one of the dictionaries, is not known.

    Notes
    -----
    Pairs are sorted by length and scored in batches without padding; a text is tokenised once and
    equal pairs are scored once, whatever ``batch_size``. One instance may be used from many
    threads.

    References
    ----------
    Nogueira and Cho, Passage Re-ranking with BERT, 2019.
    """

    @arguments.accepts_old_names(
        without_effect=("num_workers",), sentences="inputs", activation_fct="activation_fn"
    )
    def predict(
        self,
        inputs: Any,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | str | None = None,
        activation_fn: Callable[[Any], Any] | None = None,
        apply_softmax: bool | None = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: Any = None,
        pool: None = None,
        chunk_size: int | None = None,
        *,
        max_length: int | None = None,
        truncation: str = "longest_first",
        long_documents: str = "truncate",
        stride: int | None = None,
        processing_kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Score pairs of texts.

        Parameters
        ----------
        inputs
            A list, tuple or two-dimensional string array of pairs (query, document); or one pair.
        prompt_name, prompt
            A text to put in front of each query, by its name or itself; left out, the default one
            if the model has one, and ``""`` for none.
        batch_size
            Accepted for compatibility: batches are cut by their number of tokens.
        show_progress_bar
            Show a bar, with this name if it is a string; left out, only at logging level INFO or
            DEBUG.
        activation_fn
            In place of the model's own.
        apply_softmax
            Softmax over the labels, after the activation; without effect on one label.
        convert_to_numpy, convert_to_tensor
            An array, a torch tensor, or, with neither, a list of torch scalars or vectors.
        device
            Move the model there first.
        pool, chunk_size
            sentence-transformers' processes: not supported, one call uses all cores.
        max_length
            For this call, in place of the model's own, in tokens.
        truncation
            ``"longest_first"`` shortens the longer text of a pair that is too long, and both once
            they are equal; ``"only_second"`` shortens the document only.
        long_documents
            What becomes of a document that does not fit. ``"truncate"``: it is cut. ``"max"``,
            ``"mean"`` and ``"first"``: it is scored in windows over its tokens, each as long as
            truncation would have left it, and the largest logits, their mean, or those of the first
            window count (label by label).
        stride
            Tokens that neighbouring windows share, as in transformers' tokenizers; a quarter of a
            window if left out, half a window at most.
        processing_kwargs
            ``{"text": {"max_length": ..., "truncation": ...}}``, as in sentence-transformers.

        Returns
        -------
        numpy.ndarray
            float32 of shape (n_pairs,) for one label, (n_pairs, n_labels) for several; one score or
            row for one pair.

        Raises
        ------
        ValueError
            If the inputs are not pairs of strings, an option is not known or not possible, or the
            scores are not finite.

        Warns
        -----
        TruncationWarning
            Once per model, if pairs lost tokens to `max_length`; :meth:`report` says which.

        References
        ----------
        Dai and Callan, Deeper Text Understanding for IR with Contextual Neural Language Modeling,
        SIGIR 2019 (MaxP and FirstP).
        """
        if batch_size <= 0:
            raise ValueError(f"batch_size must be a positive integer, got {batch_size}.")
        arguments.refuse("pool", pool, "one call uses all cores without further processes")
        pairs, single = as_pairs(inputs)
        pairs, prompted = self._prompted(pairs, self._prompts.resolve(prompt, prompt_name))
        if device is not None:
            self.to(device)
        given: dict[str, Any] = {"max_length": max_length, "truncation": truncation}
        given.update(arguments.processing_arguments(processing_kwargs))
        options = self._options(**given, long_documents=long_documents, stride=stride) | prompted
        logits = self._score(pairs, options, show_progress_bar)
        activation = self._activation if activation_fn is None else activations.wrap(activation_fn)
        scores = activation(logits) if len(pairs) else logits
        if self.num_labels == 1 and scores.ndim > 1:
            scores = scores[:, 0]
        if apply_softmax and scores.ndim > 1:
            scores = results.softmax(scores)
        scores = np.ascontiguousarray(scores, dtype=np.float32)
        return results.converted(scores, single, convert_to_numpy, convert_to_tensor, self.device)

    @arguments.accepts_old_names(
        without_effect=("num_workers", "apply_softmax", "convert_to_numpy", "convert_to_tensor"),
        activation_fct="activation_fn",
    )
    def rank(
        self,
        query: str,
        documents: Iterable[str],
        top_k: int | None = None,
        return_documents: bool = False,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | str | None = None,
        activation_fn: Callable[[Any], Any] | None = None,
        device: Any = None,
        pool: None = None,
        chunk_size: int | None = None,
        **how: Any,
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
        prompt_name, prompt, batch_size, show_progress_bar, activation_fn, device, pool, chunk_size
            As for :meth:`predict`.
        how
            `max_length`, `truncation`, `long_documents` and `stride`, as for :meth:`predict`.

        Returns
        -------
        list of dict
            ``{"corpus_id": int, "score": float}`` and, on request, ``"text"``; the highest score
            first, equal ones in the order of `documents`.

        Raises
        ------
        ValueError
            If the model has several labels.
        TypeError
            If the documents are one string.
        """
        return self.rank_many(
            [query],
            [as_documents(documents)],
            top_k,
            return_documents,
            prompt_name=prompt_name,
            prompt=prompt,
            batch_size=batch_size,
            show_progress_bar=show_progress_bar,
            activation_fn=activation_fn,
            device=device,
            pool=pool,
            chunk_size=chunk_size,
            **how,
        )[0]

    def rank_many(
        self,
        queries: Iterable[str],
        documents_per_query: Iterable[Iterable[str]],
        top_k: int | None = None,
        return_documents: bool = False,
        **how: Any,
    ) -> list[list[dict[str, Any]]]:
        """Order the documents of each of many queries, all in one pass.

        Batches mix the pairs of all queries; a document of several queries is tokenised once.

        Parameters
        ----------
        queries
            The queries.
        documents_per_query
            For each query, the texts to order.
        top_k
            How many to return for each query; all if left out.
        return_documents
            Add the text to each entry.
        how
            Further arguments of :meth:`predict`.

        Returns
        -------
        list of list of dict
            For each query, what :meth:`rank` returns.

        Raises
        ------
        ValueError
            If there is not one list of documents for each query, or the model has several labels.
        TypeError
            If the documents of a query are one string.
        """
        if self.num_labels != 1:
            raise ValueError(
                f"ranking needs a model with num_labels=1, not {self.num_labels}: use predict()"
            )
        queries = as_documents(queries, "queries")
        documents = [
            as_documents(texts, f"the documents of query {number}")
            for number, texts in enumerate(documents_per_query)
        ]
        if len(queries) != len(documents):
            raise ValueError(f"{len(queries)} queries, but {len(documents)} lists of documents")
        pairs = [
            (query, text) for query, texts in zip(queries, documents, strict=True) for text in texts
        ]
        scores = self.predict(pairs, **how)
        ends = np.cumsum([len(texts) for texts in documents])
        return [
            results.hits(scores[end - len(texts) : end], texts, top_k, return_documents)
            for texts, end in zip(documents, ends, strict=True)
        ]

    def score(self, text_pairs: Iterable[tuple[str, str]]) -> list[float]:
        """Return the scores of pairs as a list of floats (LangChain's ``BaseCrossEncoder``)."""
        return [float(score) for score in self.predict(list(text_pairs))]

    def report(self, inputs: Any, *, prompt: str | None = None, **options: Any) -> _core.Report:
        """Tell what :meth:`predict` would read of pairs and what they would lose, without scoring.

        Parameters
        ----------
        inputs, prompt
            As for :meth:`predict`.
        options
            `max_length`, `truncation`, `long_documents` and `stride`, as for :meth:`predict`.

        Returns
        -------
        Report
            ``lost_tokens`` (int64 of shape (n_pairs,)), ``truncated_pairs``, ``truncated_tokens``;
            and the work: ``pairs``, distinct ``texts``, ``sequences`` and ``tokens``.
        """
        pairs, prompted = self._prompted(as_pairs(inputs)[0], self._prompts.resolve(prompt, None))
        return self._engine.report(pairs, **(self._options(**options) | prompted))

    def token_ids(self, inputs: Any, *, prompt: str | None = None, **options: Any) -> list[Any]:
        """Return the token ids of pairs as the model reads them, cut to `max_length`.

        Parameters
        ----------
        inputs, prompt
            As for :meth:`predict`.
        options
            `max_length` and `truncation`, as for :meth:`predict`. With `long_documents`, the result
            holds a list of windows for each pair.

        Returns
        -------
        list
            A list of token ids for each pair.
        """
        pairs, prompted = self._prompted(as_pairs(inputs)[0], self._prompts.resolve(prompt, None))
        found = self._engine.token_ids(pairs, **(self._options(**options) | prompted))
        if options.get("long_documents", "truncate") == "truncate":
            return [sequences[0] for sequences in found]
        return found

    def _prompted(
        self, pairs: list[Any], prompt: str | None
    ) -> tuple[list[Any], dict[str, str | None]]:
        """Return the pairs with the prompt, or the prompt as an option where it is a message."""
        if self._engine.takes_messages:
            return pairs, {"prompt": prompt}
        return with_prompt(pairs, prompt), {}

    def _options(
        self,
        max_length: int | None = None,
        truncation: str = "longest_first",
        long_documents: str = "truncate",
        stride: int | None = None,
    ) -> dict[str, Any]:
        """Return the engine's options."""
        if stride is not None:
            if isinstance(stride, bool) or not isinstance(stride, (int, np.integer)) or stride < 0:
                raise ValueError(f"stride must be a number of tokens, got {stride!r}")
            if long_documents == "truncate":
                raise ValueError('stride needs windows: long_documents="max", "mean" or "first"')
        return {
            "max_length": self._max_length
            if max_length is None
            else self._checked_length(max_length),
            "truncation": truncation,
            "long_documents": long_documents,
            "stride": stride,
        }

    def _score(
        self, pairs: list[Any], options: dict[str, Any], show_progress_bar: bool | str | None
    ) -> np.ndarray:
        if show_progress_bar is None:
            show_progress_bar = logger.getEffectiveLevel() in (logging.INFO, logging.DEBUG)
        if show_progress_bar:
            name = show_progress_bar if isinstance(show_progress_bar, str) else "Pairs"
            with counter(len(pairs), name) as advance:
                logits, report = self._engine.score(pairs, progress=advance, **options)
        else:
            logits, report = self._engine.score(pairs, **options)
        if not self._warned and report.truncated_pairs:
            self._warned = True
            warnings.warn(
                f"{report.truncated_pairs} of {report.pairs} pairs lost "
                f"{report.truncated_tokens} tokens to max_length={options['max_length']}; "
                'long_documents="max" reads them whole, report() says which they are, and '
                'warnings.simplefilter("ignore", cherche_rs.TruncationWarning) silences this; '
                "the model will not warn again",
                TruncationWarning,
                stacklevel=4,
            )
        return logits
