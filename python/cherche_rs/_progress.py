"""Progress bars."""

from __future__ import annotations

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
