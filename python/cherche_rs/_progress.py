"""Progress bars."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


def progress(items: Iterable[Item], desc: str, show: bool) -> Iterable[Item]:
    """Return the items, wrapped in a progress bar if it is to be shown."""
    if not show:
        return items
    # Imported late: it takes as long as all the rest of the package.
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    bar: Iterable[Item] = tqdm(items, position=0, desc=desc)
    return bar


@contextmanager
def counter(total: int, desc: str) -> Iterator[Callable[[int], None]]:
    """Show a progress bar; what is yielded takes how much is done so far."""
    from tqdm.auto import tqdm

    with tqdm(total=total, position=0, desc=desc) as bar:
        yield lambda done: bar.update(done - bar.n)


@contextmanager
def late_counter(
    total: int, desc: str, show: bool, delay: float = 1.0
) -> Iterator[Callable[[int], None] | None]:
    """Show a progress bar as :func:`counter` does, but not before ``delay`` seconds."""
    if not show:
        yield None
        return
    start = time.monotonic()
    bar = None

    def advance(done: int) -> None:
        nonlocal bar
        if bar is None and time.monotonic() - start >= delay:
            from tqdm.auto import tqdm

            bar = tqdm(total=total, position=0, desc=desc)
        if bar is not None:
            bar.update(done - bar.n)

    try:
        yield advance
        if bar is not None:
            bar.update(total - bar.n)
    finally:
        if bar is not None:
            bar.close()
