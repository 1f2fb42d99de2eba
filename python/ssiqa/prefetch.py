"""Work done ahead of its consumer, in order, by a few threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_WORKERS = 2
_AHEAD = 6


def prefetch(load: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """``map(load, items)``, computed a bounded number of items ahead by threads; errors come up in order."""
    remaining = iter(items)
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="ssiqa-load") as pool:
        pending: deque[Future[R]] = deque(pool.submit(load, item) for item in islice(remaining, _AHEAD))
        try:
            while pending:
                result = pending.popleft().result()
                pending.extend(pool.submit(load, item) for item in islice(remaining, 1))
                yield result
        finally:
            for future in pending:
                future.cancel()


def batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """``items`` in order, cut into pieces of ``size``; the last may be shorter."""
    return [items[start : start + size] for start in range(0, len(items), size)]
