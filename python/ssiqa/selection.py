"""The smallest differences, of two arrays or over a stream of chunks or shards that are merged: SDK-Sample's choice."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from ssiqa import _core, arrays
from ssiqa.arrays import Array, ArrayT
from ssiqa.gpu import GpuKernels, is_on_gpu


def smallest_difference(pred: ArrayT, target: ArrayT, k: int) -> ArrayT:
    """Indices of the `k` smallest |pred - target|, the exemplars of SDK-Sample.

    Args:
        pred: (n,).
        target: (n,).
        k: From 0 to n.

    Returns:
        (k,) int64, ordered by difference and, where differences are equal, by index; NaN differences come last.

    Raises:
        TypeError: An argument is not an array of float32 or float64, or the dtypes differ.
        ValueError: Shapes do not fit, arrays are in different memories, or k is out of range.

    Example:
        >>> import numpy as np
        >>> smallest_difference(np.array([3.0, 1.0, 2.0, 5.0]), np.array([1.0, 1.5, 2.5, 5.0]), 3)
        array([3, 1, 2])
    """
    arrays.require_vectors(pred, target)
    if not 0 <= k <= arrays.shape(pred)[0]:
        raise ValueError(f"k must be from 0 to the {arrays.shape(pred)[0]} elements there are, but it is {k}.")
    out: ArrayT = arrays.empty(pred, (k,), "int64")
    (GpuKernels(pred) if is_on_gpu(pred) else _core).smallest_difference(pred, target, out)
    return out


class SmallestDifference:
    """The same selection over a stream of chunks, or over shards that are merged.

    Chunks are counted on: the first element of a chunk follows the last one of the chunk before. Whatever the chunks
    and the order in which shards are merged, the result is that of one call over all elements; memory is that of `k`
    elements and of those of the latest chunk that may be among them. Threads may share a selection; which of their
    chunks comes first is then theirs to see to.

    Args:
        k: How many are wanted, at least 0.
        offset: Index of the first element that this shard will see.

    Attributes:
        k: How many are wanted.

    Raises:
        ValueError: k or offset is negative.

    Example:
        >>> import numpy as np
        >>> selection = SmallestDifference(2)
        >>> selection.update(np.array([3.0, 1.0]), np.array([1.0, 1.5]))
        >>> other = SmallestDifference(2, offset=2)
        >>> other.update(np.array([2.0, np.nan]), np.array([2.0, 5.0]))
        >>> selection.merge(other)
        >>> selection.indices, selection.differences, selection.nan_count, selection.seen
        (array([2, 1]), array([0. , 0.5]), 1, 4)
    """

    def __init__(self, k: int, *, offset: int = 0) -> None:
        if k < 0 or offset < 0:
            raise ValueError(f"k and offset must not be negative, but they are {k} and {offset}.")
        self.k = k
        self._next = offset
        self._ranges: list[tuple[int, int]] = []  # of the indices seen
        self._like: Any = None  # an array of the library and dtype of the chunks
        self._state: Any = None
        self._lock = threading.RLock()  # one that a merge with itself may take twice

    def update(self, pred: Array, target: Array) -> None:
        """Take the next chunk into account.

        Args:
            pred: (n,).
            target: (n,).

        Raises:
            TypeError: An argument is not an array of float32 or float64, or not of the dtype of the chunks before.
            ValueError: Shapes do not fit, an array is not in CPU memory, or a merged shard has seen these indices.
        """
        arrays.require_vectors(pred, target)
        with self._lock:
            like, state = self._taking(pred)
            end = self._next + arrays.shape(pred)[0]
            ranges = _joined([*self._ranges, (self._next, end)])
            state.update(pred, target)  # a chunk that is refused leaves no trace
            self._like, self._state, self._next, self._ranges = like, state, end, ranges

    def merge(self, other: SmallestDifference) -> None:
        """Take what another shard has seen into account.

        Raises:
            TypeError: The other one has seen another dtype.
            ValueError: The other one keeps another number of elements, or has seen indices that were seen here.
        """
        if other.k != self.k:
            raise ValueError(f"Only shards of one k can be merged, but these keep {self.k} and {other.k}.")
        first, second = sorted((self, other), key=id)  # in one order, so that two merges never wait for each other
        with first._lock, second._lock:
            if other._like is None:
                return
            like, state = self._taking(other._like)
            ranges = _joined(self._ranges + other._ranges)
            state.merge(other._state)
            self._like, self._state, self._ranges = like, state, ranges

    @property
    def indices(self) -> Any:
        """(min(k, seen),) int64, ordered like those of `smallest_difference`, in the library of the chunks."""
        return self._written("write_indices", "int64")

    @property
    def differences(self) -> Any:
        """|pred - target| at the indices, in the dtype of the chunks."""
        return self._written("write_differences", None)

    @property
    def nan_count(self) -> int:
        """How many differences were NaN."""
        return 0 if self._state is None else int(self._state.nan_count)

    @property
    def seen(self) -> int:
        """How many elements were seen."""
        return sum(end - begin for begin, end in self._ranges)

    def _taking(self, array: Any) -> tuple[Any, Any]:
        """What chunks are like, and the state for one that is like this."""
        if self._like is None:
            return arrays.empty(array, (0,)), _SELECTIONS[arrays.dtype_name(array)](self.k, self._next)
        if arrays.dtype_name(array) != arrays.dtype_name(self._like):
            raise TypeError(
                f"A selection is of one dtype, but saw {arrays.dtype_name(self._like)} and {arrays.dtype_name(array)}."
            )
        return self._like, self._state

    def _written(self, write: str, dtype: str | None) -> Any:
        with self._lock:
            if self._state is None:
                return np.empty(0, dtype or "float64")
            out = arrays.empty(self._like, (self._state.size,), dtype)
            getattr(self._state, write)(out)
            return out


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges in order, those that touch made one; shards that overlap would count an element twice."""
    joined: list[tuple[int, int]] = []
    for begin, end in sorted(ranges):
        if begin == end:
            continue
        if joined and begin < joined[-1][1]:
            raise ValueError(f"Shards must not overlap, but index {begin} was seen twice; give each its own offset.")
        if joined and begin == joined[-1][1]:
            begin = joined.pop()[0]
        joined.append((begin, end))
    return joined


_SELECTIONS = {"float32": _core.Selection32, "float64": _core.Selection64}
