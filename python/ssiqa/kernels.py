"""Radial basis function kernels, kernel ridge regression and selection, computed by the native core.

Every function takes arrays of any library that speaks DLPack (numpy arrays, torch tensors) in CPU memory, float32 or
float64, all of one dtype, and returns an array of the first argument's library and dtype. Inputs are read
through their strides: a transposed, sliced, reversed or read-only array is used as it is, without a copy. Work is
spread over `SSIQA_NUM_THREADS` threads (default: the cores this process may use); results do not depend on how many.

All but `SmallestDifference` take arrays in the memory of a GPU, too, where ssiqa was built with a CUDA compiler.
Distances, kernels, products and selection are queued there on the stream that is current in the array's library, and
not waited for. What the CPU refuses as not finite is not looked at by them: it comes out as NaN. Identical rows have a
kernel of 1, and a distance of 0, up to rounding. Fits and factors need torch, and wait for the GPU.

Equation numbers are those of Pan et al., "Semi-Supervised Blind Image Quality Assessment through Knowledge
Distillation and Incremental Learning", AAAI 2024.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np

from ssiqa import _core, arrays
from ssiqa.gpu import GpuKernels, is_on_gpu

__all__ = [
    "KrrFactor",
    "SmallestDifference",
    "krr_factor",
    "krr_fit",
    "rbf_kernel",
    "rbf_matvec",
    "smallest_difference",
    "squared_distances",
]


class Array(Protocol):
    """What is asked of an array, beyond `shape` and `dtype`."""

    def __dlpack__(self, *, max_version: tuple[int, int] | None = None) -> object: ...

    def __dlpack_device__(self) -> tuple[Any, int]: ...


ArrayT = TypeVar("ArrayT", bound=Array)


def squared_distances(x: ArrayT, y: ArrayT | None = None) -> ArrayT:
    """Squared Euclidean distances between the rows of `x` and of `y`, the exponent of equation (2).

    They are computed as |x|^2 + |y|^2 - 2 x.y around the mean of `y`, so that a large common offset costs no accuracy.
    They are at least 0, and exactly 0 between identical rows.

    Args:
        x: (n, d) or, in batches, (b, n, d).
        y: (m, d) or (b, m, d); `x` itself by default, at half the cost.

    Returns:
        (n, m) or (b, n, m).

    Raises:
        TypeError: An argument is not an array of float32 or float64, or the dtypes differ.
        ValueError: Shapes do not fit, an array is not in CPU memory, or numbers are not finite or too large to square.

    Example:
        >>> import numpy as np
        >>> squared_distances(np.array([[0.0, 0.0], [3.0, 4.0]]))
        array([[ 0., 25.],
               [25.,  0.]])
    """
    out = _pairwise_output(x, y)
    (GpuKernels(x) if is_on_gpu(x) else _core).squared_distances(x, y, out)
    return out


def rbf_kernel(x: ArrayT, y: ArrayT | None = None, *, gamma: float) -> ArrayT:
    """The kernel matrix exp(-gamma |x - y|^2) of equation (2).

    Args:
        x: (n, d) or, in batches, (b, n, d).
        y: (m, d) or (b, m, d); `x` itself by default, at half the cost.
        gamma: At least 0.

    Returns:
        (n, m) or (b, n, m), from 0 to 1; exactly 1 between identical rows. The exponential is right to 2 units in the
        last place, and 0 where it would be below the smallest normal number.

    Raises:
        TypeError: An argument is not an array of float32 or float64, or the dtypes differ.
        ValueError: Shapes do not fit, an array is not in CPU memory, numbers are not finite or too large to square,
            or gamma is negative or not finite.

    Example:
        >>> import numpy as np
        >>> rbf_kernel(np.array([[0.0], [1.0]]), np.array([[1.0]]), gamma=1.0).round(4)
        array([[0.3679],
               [1.    ]])
    """
    out = _pairwise_output(x, y)
    _require_gammas_fit([gamma], x)
    (GpuKernels(x) if is_on_gpu(x) else _core).rbf_kernel(x, y, out, gamma)
    return out


def rbf_matvec(
    x: ArrayT,
    z: ArrayT,
    coef: ArrayT,
    *,
    gamma: float | Iterable[float],
    accumulate: Literal["float32", "float64"] = "float64",
    precision: Literal["high", "medium"] = "high",
) -> ArrayT:
    """The product K(x, z) @ coef of equation (3), where K is `rbf_kernel(x, z, gamma=gamma)` and is never stored.

    The workspace is about 24 MB, whatever n and m are (for up to a thousand features or targets). Many batches run side
    by side, as far as 64 MB hold the workspaces of those that do; beside it each thread takes 1.5 MB.

    Args:
        x: (n, d) or, in batches, (b, n, d).
        z: (m, d) or (b, m, d).
        coef: (m,) or (m, t), or (b, m) or (b, m, t); finite.
        gamma: At least 0; in batches a number, or one for each.
        accumulate: The type in which sums over blocks of rows of `z` are kept. "float32" is for float32 arrays only; a
            GPU keeps float64 anyway.
        precision: Of products of float32 rows on a GPU's tensor cores. "medium" rounds the rows to half precision,
            which is faster; an entry is then off by about 1e-3 of the sum that is named below.

    Returns:
        (n,) or (n, t), or (b, n) or (b, n, t). For float32 an entry is off by at most 1e-5 of the sum of K |coef| in
        its row, for near duplicates and large common offsets alike, on standardised features (192 to 1,280 of them)
        with gamma up to 4 / d (1 / d where the core runs AMX code, which splits floats into parts). Beyond that the
        error grows with gamma times the squared distances from the mean of `z`.

    Raises:
        TypeError: An argument is not an array of float32 or float64, or the dtypes differ.
        ValueError: Shapes do not fit, an array is not in CPU memory, numbers are not finite or too large to square,
            gamma is negative or not finite, or the product does not fit into the dtype.

    Example:
        >>> import numpy as np
        >>> z = np.array([[0.0], [1.0]])
        >>> rbf_matvec(np.array([[1.0]]), z, np.array([1.0, 2.0]), gamma=1.0).round(4)
        array([2.3679])
    """
    arrays.require_arrays(x=x, z=z, coef=coef)
    arrays.require_axes("x", x, 2, 3)
    arrays.require_axes("z", z, len(arrays.shape(x)))
    arrays.require_axes("coef", coef, len(arrays.shape(x)) - 1, len(arrays.shape(x)))
    arrays.require_same_columns("z", z, x)
    arrays.require_same_batches("z", z, x)
    arrays.require_same_rows("coef", coef, "z", z)
    if precision not in ("high", "medium"):
        raise ValueError(f"precision must be 'high' or 'medium', but it is {precision!r}.")
    if accumulate not in ("float32", "float64") or (accumulate == "float32" and arrays.dtype_name(x) == "float64"):
        raise ValueError(f"accumulate must be 'float64', or 'float32' for float32 arrays, but it is {accumulate!r}.")
    gammas = arrays.per_batch("gamma", gamma, x)
    _require_gammas_fit(gammas, x)
    out: ArrayT = arrays.empty(x, (*arrays.shape(x)[:-1], *arrays.shape(coef)[len(arrays.shape(x)) - 1 :]))
    if is_on_gpu(x):
        GpuKernels(x).rbf_matvec(x, z, coef, out, gammas, True, precision == "medium")
    elif precision == "medium":
        raise ValueError("precision 'medium' is for arrays on a GPU; the CPU has 'high'.")
    else:
        _core.rbf_matvec(x, z, coef, out, gammas, accumulate == "float64")
    return out


def krr_fit(x: ArrayT, y: ArrayT, *, gamma: float | Iterable[float], alpha: float | Iterable[float]) -> ArrayT:
    """Dual coefficients (K + alpha I)^-1 y of kernel ridge regression, equations (1) and (3).

    The kernel matrix is built in float64 for either dtype. Its Cholesky factor is computed in float32, and the solution
    refined by conjugate gradients on the float64 matrix until the residual is no larger than that of a float64 solve.
    Where float32 does not suffice (alpha is small for the largest eigenvalue, or the refinement does not converge), and
    for up to 768 rows, the factor is computed in float64 instead and its solution refined likewise. Memory: 6 n^2
    bytes, or 8 n^2 with the factor in float64. Many batches run side by side, as far as 64 MB hold those that do; few
    or large ones run one after another on all threads.

    Args:
        x: (n, d) or, in batches, (b, n, d).
        y: (n,) or (n, t), or (b, n) or (b, n, t); not centred here.
        gamma: At least 0; in batches a number, or one for each.
        alpha: At least 0; the lambda of the paper. In batches a number, or one for each.

    Returns:
        Coefficients in the shape and dtype of `y`.

    Raises:
        IllConditionedError: K + alpha I is not numerically positive definite, or refinement did not converge; says at
            which row, as `pivot`, how large the condition number is, as `condition`, and what to do.
        TypeError: An argument is not an array of float32 or float64, or the dtypes differ.
        ValueError: Shapes do not fit, an array is not in CPU memory, numbers are not finite or too large to square,
            gamma or alpha is negative or not finite, or the coefficients do not fit into the dtype.

    Example:
        >>> import numpy as np
        >>> krr_fit(np.array([[0.0], [9.0]]), np.array([1.0, 2.0]), gamma=1.0, alpha=1.0)
        array([0.5, 1. ])
    """
    arrays.require_arrays(x=x, y=y)
    arrays.require_axes("x", x, 2, 3)
    arrays.require_axes("y", y, len(arrays.shape(x)) - 1, len(arrays.shape(x)))
    arrays.require_same_rows("y", y, "x", x)
    gammas, alphas = arrays.per_batch("gamma", gamma, x), arrays.per_batch("alpha", alpha, x)
    out: ArrayT = arrays.empty(x, arrays.shape(y))
    (GpuKernels(x) if is_on_gpu(x) else _core).krr_fit(x, y, out, gammas, alphas)
    return out


def krr_factor(x: ArrayT, *, gamma: float, alpha: float) -> KrrFactor[ArrayT]:
    """The float64 Cholesky factor of K + alpha I, for more than one solve and for the certainty of predictions.

    Args:
        x: (n, d).
        gamma: At least 0.
        alpha: At least 0.

    Raises:
        IllConditionedError: K + alpha I is not numerically positive definite.
        TypeError: `x` is not an array of float32 or float64.
        ValueError: `x` has not two axes, is not in CPU memory, or holds numbers that are not finite or too large to
            square, or gamma or alpha is negative or not finite.

    Example:
        >>> import numpy as np
        >>> factor = krr_factor(np.array([[0.0], [9.0]]), gamma=1.0, alpha=1.0)
        >>> factor.variance(np.array([[0.0], [100.0]]))
        array([0.5, 1. ])
    """
    arrays.require_arrays(x=x)
    arrays.require_axes("x", x, 2)
    return KrrFactor(x, gamma, alpha)


class KrrFactor(Generic[ArrayT]):
    """What `krr_factor` returns. It holds the factor, 4 n^2 bytes, and the rows in float64, and cannot be pickled.

    Arrays are of the dtype of the rows it was made of, and are returned in the library of the argument.

    Example:
        >>> import numpy as np
        >>> factor = krr_factor(np.array([[0.0], [9.0]]), gamma=1.0, alpha=1.0)
        >>> factor.solve(np.array([1.0, 2.0]))
        array([0.5, 1. ])
        >>> round(factor.condition, 6)
        1.0
    """

    def __init__(self, x: ArrayT, gamma: float, alpha: float) -> None:
        self._rows, self._features = arrays.shape(x)
        self._dtype = arrays.dtype_name(x)
        self._native = (GpuKernels(x) if is_on_gpu(x) else _core).krr_factor(x, gamma, alpha)

    @functools.cached_property
    def condition(self) -> float:
        """An estimate, at the cost of a few solves, of the condition number of K + alpha I in the 1-norm.

        It is an estimate from below, rarely by more than a factor of three.
        """
        return self._native.condition()

    def solve(self, y: ArrayT) -> ArrayT:
        """(K + alpha I)^-1 y, with the residual of a solve in float64.

        Args:
            y: (n,) or (n, t).

        Raises:
            TypeError: `y` is not an array of the dtype of the rows.
            ValueError: The shape does not fit, or numbers are not finite.
        """
        self._require_dtype("y", y)
        arrays.require_axes("y", y, 1, 2)
        if arrays.shape(y)[0] != self._rows:
            raise ValueError(f"y must have {self._rows} rows like x, but its shape is {arrays.shape(y)}.")
        out: ArrayT = arrays.empty(y, arrays.shape(y))
        self._native.solve(y, out)
        return out

    def variance(self, z: ArrayT) -> ArrayT:
        """1 - k(z)' (K + alpha I)^-1 k(z), the variance of a prediction, in n^2 m operations and at most 64 MB.

        Args:
            z: (m, d).

        Returns:
            (m,), from 0 (known) to 1 (far from every row), off by about n eps |K + alpha I| / alpha at most, where eps
            is that of float64 and the norm is at most n + alpha.

        Raises:
            TypeError: `z` is not an array of the dtype of the rows.
            ValueError: The shape does not fit, or numbers are not finite or too large to square.
        """
        self._require_dtype("z", z)
        arrays.require_axes("z", z, 2)
        if arrays.shape(z)[1] != self._features:
            raise ValueError(f"z must have {self._features} columns like x, but its shape is {arrays.shape(z)}.")
        out: ArrayT = arrays.empty(z, arrays.shape(z)[:1])
        self._native.variance(z, out)
        return out

    def _require_dtype(self, name: str, array: Any) -> None:
        arrays.require_arrays(**{name: array})
        if arrays.dtype_name(array) != self._dtype:
            raise TypeError(
                f"{name} must have the dtype of x, but they are {arrays.dtype_name(array)} and {self._dtype}."
            )


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
        ValueError: Shapes do not fit, an array is not in CPU memory, or k is out of range.

    Example:
        >>> import numpy as np
        >>> smallest_difference(np.array([3.0, 1.0, 2.0, 5.0]), np.array([1.0, 1.5, 2.5, 5.0]), 3)
        array([3, 1, 2])
    """
    _require_vectors(pred, target)
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
        _require_vectors(pred, target)
        with self._lock:
            self._use_dtype_of(pred)
            end = self._next + arrays.shape(pred)[0]
            ranges = _joined([*self._ranges, (self._next, end)])
            self._state.update(pred, target)
            self._next, self._ranges = end, ranges

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
            self._use_dtype_of(other._like)
            ranges = _joined(self._ranges + other._ranges)
            self._state.merge(other._state)
            self._ranges = ranges

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

    def _use_dtype_of(self, array: Any) -> None:
        if self._like is None:
            self._like = arrays.empty(array, (0,))
            self._state = _SELECTIONS[arrays.dtype_name(array)](self.k, self._next)
        elif arrays.dtype_name(array) != arrays.dtype_name(self._like):
            raise TypeError(
                f"A selection is of one dtype, but saw {arrays.dtype_name(self._like)} and {arrays.dtype_name(array)}."
            )

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


def _pairwise_output(x: ArrayT, y: ArrayT | None) -> ArrayT:
    other = x if y is None else y
    arrays.require_arrays(x=x, y=other)
    arrays.require_axes("x", x, 2, 3)
    arrays.require_axes("y", other, len(arrays.shape(x)))
    arrays.require_same_columns("y", other, x)
    arrays.require_same_batches("y", other, x)
    out: ArrayT = arrays.empty(x, (*arrays.shape(x)[:-1], arrays.shape(other)[-2]))
    return out


def _require_gammas_fit(gammas: list[float], x: Any) -> None:
    """The core computes with gamma in the dtype of the rows."""
    largest = float(np.finfo(arrays.dtype_name(x)).max)
    for gamma in gammas:
        if np.isfinite(gamma) and gamma > largest:
            raise ValueError(f"gamma must fit into {arrays.dtype_name(x)}, the dtype of x, but it is {gamma}.")


def _require_vectors(pred: Any, target: Any) -> None:
    arrays.require_arrays(pred=pred, target=target)
    arrays.require_axes("pred", pred, 1)
    arrays.require_axes("target", target, 1)
    arrays.require_same_rows("target", target, "pred", pred)
