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
from collections.abc import Iterable
from typing import Any, Generic, Literal

import numpy as np

from ssiqa import _core, arrays
from ssiqa.arrays import ArrayT
from ssiqa.gpu import GpuKernels, is_on_gpu
from ssiqa.selection import SmallestDifference, smallest_difference

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
        ValueError: Shapes do not fit, arrays are in different memories, or numbers are not finite or too large to
            square.

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
        ValueError: Shapes do not fit, arrays are in different memories, numbers are not finite or too large to square,
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
        with gamma up to 4 / d (1 / d where the core runs AMX code, or a GPU its tensor cores, which split floats into
        parts). Beyond that the error grows with gamma times the squared distances from the mean of `z`.

    Raises:
        TypeError: An argument is not an array of float32 or float64, or the dtypes differ.
        ValueError: Shapes do not fit, arrays are in different memories, numbers are not finite or too large to square,
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
    for up to 768 rows (on a GPU 1,024), the factor is computed in float64 instead and its solution refined likewise.
    Memory: 6 n^2 bytes (on a GPU 4 n^2), or 8 n^2 with the factor in float64. Many batches run side by side, as far as
    64 MB hold those that do; few or large ones run one after another on all threads.

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
        ValueError: Shapes do not fit, arrays are in different memories, numbers are not finite or too large to square,
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
        ValueError: `x` has not two axes, or holds numbers that are not finite or too large to
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

    On a GPU the factor takes 8 n^2 bytes. Arrays are of the dtype of the rows it was made of, and are returned in the
    library of the argument.

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
        """1 - k(z)' (K + alpha I)^-1 k(z), the variance of a prediction, in n^2 m operations.

        It takes at most 64 MB beside the result, on a GPU about 512 MB.

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
