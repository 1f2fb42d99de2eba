"""Work on photos side by side: as many threads as cores, and torch single-threaded in each.

A network spends much of a small batch in waiting until all threads have finished a layer. Where photos need nothing of
each other, each thread takes photos of its own, from decoding to the last layer: none waits for another or spins while
it waits, and what it works on stays in the caches of its core.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from types import TracebackType
from typing import TypeVar

import torch

from ssiqa import _core

T = TypeVar("T")
R = TypeVar("R")

_local = threading.local()


class Lanes:
    """Threads for as long as the context lasts; torch's own threads are divided among them.

    Attributes:
        count: Number of threads: torch's number of threads, or ``most`` if that is less.
    """

    def __init__(self, most: int | None = None) -> None:
        self._threads = torch.get_num_threads()
        self.count = min(self._threads, most or self._threads)

    def __enter__(self) -> Lanes:
        _core.keep_freed_memory(True)
        self._pool = ThreadPoolExecutor(self.count, "ssiqa-lane", self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._threads)  # what a lane sets becomes what new threads begin with
        _core.keep_freed_memory(False)

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """``map(function, items)``, computed a bounded number of items ahead; results and errors come in order."""
        remaining = iter(items)
        pending: deque[Future[R]] = deque(
            self._pool.submit(function, item) for item in islice(remaining, 4 * self.count)
        )
        try:
            while pending:
                result = pending.popleft().result()
                pending.extend(self._pool.submit(function, item) for item in islice(remaining, 1))
                yield result
        finally:
            for future in pending:
                future.cancel()

    def _begin(self) -> None:
        torch.set_num_threads(max(1, self._threads // self.count))
        _local.share = 1 / self.count


def share() -> float:
    """The share of the machine that the calling thread has: 1 outside of lanes."""
    return float(getattr(_local, "share", 1.0))


def batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """``items`` in order, cut into pieces of ``size``; the last may be shorter."""
    return [items[start : start + size] for start in range(0, len(items), size)]
