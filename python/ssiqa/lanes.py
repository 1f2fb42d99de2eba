"""Work on photos side by side: as many threads as cores, among which torch's own are divided.

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

import cv2
import torch

from ssiqa import _core

T = TypeVar("T")
R = TypeVar("R")

_local = threading.local()


class Lanes:
    """Threads for as long as the context lasts; torch's own threads are divided among them, OpenCV gets none.

    Any number of them may be open at a time, in any threads of the process.

    Attributes:
        count: Number of threads: torch's number of threads, or ``most`` if that is less.
    """

    _lock = threading.Lock()
    _open = 0
    _usual = (1, 1)  # threads of torch and OpenCV while no lanes are open

    def __init__(self, most: int | None = None) -> None:
        self._most = most

    def __enter__(self) -> Lanes:
        with Lanes._lock:
            if Lanes._open == 0:
                Lanes._usual = torch.get_num_threads(), cv2.getNumThreads()
                cv2.setNumThreads(1)
            Lanes._open += 1
            self._threads = Lanes._usual[0]
        self.count = min(self._threads, self._most or self._threads)
        _core.keep_freed_memory()
        self._pool = ThreadPoolExecutor(self.count, "ssiqa-lane", self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        _core.release_freed_memory()
        with Lanes._lock:
            torch.set_num_threads(self._threads)  # what a lane sets becomes what new threads begin with
            Lanes._open -= 1
            if Lanes._open == 0:
                cv2.setNumThreads(Lanes._usual[1])

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """``map(function, items)``, computed a bounded number of items ahead; results and errors come in order."""
        remaining = iter(items)
        pending: deque[Future[R]] = deque(
            self._pool.submit(function, item) for item in islice(remaining, 4 * self.count)
        )
        try:
            while pending:
                yield pending.popleft().result()
                pending.extend(self._pool.submit(function, item) for item in islice(remaining, 1))
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
