"""One progress bar for all that takes long: the part of the work that is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["bar"]


@contextmanager
def bar(
    wanted: bool, description: str, total: int | None = None
) -> Iterator[Callable[[float], None]]:
    """Give a function that shows the part of the work that is done, from 0 to 1.

    Args:
        wanted: whether to show a bar; the function does nothing otherwise.
        description: the word before the bar.
        total: how many parts the work has, if they are to be counted.

    Raises:
        ImportError: the bar needs tqdm, which is not installed.

    Example:
        >>> from transpde import progress
        >>> with progress.bar(False, "flow") as show:
        ...     show(0.5)
    """
    if not wanted:
        yield lambda share: None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError("progress=True needs tqdm: pip install transpde[ensembles]") from error
    parts, form = (100, "{l_bar}{bar}| {elapsed}") if total is None else (total, None)
    with tqdm(total=parts, desc=description, bar_format=form) as shown:
        yield lambda share: shown.update(round(parts * share) - shown.n)
