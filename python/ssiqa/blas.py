"""BLAS with one thread, so that sums are in one order on any number of cores, and none waits for a slower thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

_lock = threading.Lock()
_open = 0
_limits: threadpool_limits | None = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """For as long as the context lasts, in the whole process; any number may be open, in any threads.

    The first sets the limit and the last takes it back: limits that were nested across threads would be restored in
    the wrong order, and one of them stay for good.
    """
    global _open, _limits
    with _lock:
        _open += 1
        if _open == 1:
            _limits = threadpool_limits(1, user_api="blas")
    try:
        yield
    finally:
        with _lock:
            _open -= 1
            if _open == 0 and _limits is not None:
                _limits.restore_original_limits()
                _limits = None
