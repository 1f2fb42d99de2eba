"""Kernel ridge regression on few centres, for rows of which the whole kernel matrix does not fit into memory.

The fit minimises |K_nM b - y|^2 + alpha b' K_MM b over weights b of M centres, by conjugate gradients with the
preconditioner of Rudi, Carratino and Rosasco, "FALKON: An Optimal Large Scale Kernel Method", NeurIPS 2017. Everything
is float64: weights of neighbouring centres cancel, and float32 leaves nothing of what remains.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack, solve_triangular
from sklearn.exceptions import ConvergenceWarning

from ssiqa import kernels
from ssiqa.blas import one_blas_thread
from ssiqa.errors import IllConditionedError
from ssiqa.memory import available_memory

Floats = NDArray[np.float64]

# Rows whose kernel with the centres is in memory at once.
CHUNK = 1024
TOLERANCE = 1e-8
MAX_ITERATIONS = 200


class Solution(NamedTuple):
    """Weights of the centres, and how they were reached.

    Attributes:
        coef: (M,) weights.
        iterations: Steps of conjugate gradients.
        amplitude: y' (K_nM K_MM^-1 K_Mn + alpha I)^-1 y / n, the squared scale of the Gaussian process that makes y
            most likely.
    """

    coef: Floats
    iterations: int
    amplitude: float


class Posterior(NamedTuple):
    """What the variance needs, as (M, M) upper triangles R with R' R equal to what is named.

    Attributes:
        prior: K_MM.
        seen: R^-T (K_Mn K_nM) R^-1 + alpha I, where R is `prior`.
        alpha: The penalty.
    """

    prior: Floats
    seen: Floats
    alpha: float


def solve(x: NDArray[Any], y: Floats, centres: NDArray[Any], *, gamma: float, alpha: float) -> Solution:
    """Minimise over the weights of the centres, to a relative residual of 1e-8.

    Each step takes the kernel of all rows with the centres once, in chunks of 1,024 rows. Chunks are kept for the next
    step as far as a quarter of the memory still available holds them, and the others computed again. The
    preconditioner and what it is made of take 4 M^2 float64.

    Args:
        x: (n, d) rows.
        y: (n,) targets, centred and brought to about 1 by the caller.
        centres: (M, d).
        gamma: At least 0.
        alpha: Above 0.

    Raises:
        IllConditionedError: No factor of the centres' kernel matrix or of its square plus alpha exists.

    Warns:
        sklearn.exceptions.ConvergenceWarning: 200 steps were not enough.

    Example:
        >>> import numpy as np
        >>> x = np.linspace(0, 3, 50)[:, None]
        >>> found = solve(x, np.sin(x[:, 0]), x[::10], gamma=1.0, alpha=1e-3)
        >>> bool(np.abs(kernels.rbf_matvec(x, x[::10].copy(), found.coef, gamma=1.0) - np.sin(x[:, 0])).max() < 0.1)
        True
    """
    centres = centres.astype(np.float64)
    kernel = _Blocks(x, centres, gamma, keep=True)
    with one_blas_thread():  # sums in one order on any number of cores
        prior = _factor(centres, gamma)
        inner = _cholesky(prior @ prior.T * (len(x) / len(centres)), alpha)

        def whitened(v: Floats) -> Floats:
            return _back(prior, _back(inner, v))

        def gathered(v: Floats) -> Floats:
            return _forward(inner, _forward(prior, v))

        def system(v: Floats) -> Floats:
            weights = whitened(v)
            total = alpha * (prior.T @ (prior @ weights))
            for _, block in kernel:
                total += block.T @ (block @ weights)
            return gathered(total)

        right = np.zeros(len(centres))
        for rows, block in kernel:
            right += block.T @ y[rows]
        solution, iterations = _conjugate_gradients(system, gathered(right))
        coef = whitened(solution)
        if not np.isfinite(coef).all():
            raise IllConditionedError("The weights of the centres are not finite; use a larger alpha.", 0, np.inf)
        # y' (K + alpha I)^-1 y by the identity of Woodbury, with K = K_nM K_MM^-1 K_Mn.
        amplitude = max(0.0, float(y @ y - right @ coef)) / alpha / len(y)
    return Solution(coef, iterations, amplitude)


def _conjugate_gradients(system: Any, right: Floats) -> tuple[Floats, int]:
    found = np.zeros_like(right)
    residual = right.copy()
    direction = residual.copy()
    square = float(residual @ residual)
    goal = square * TOLERANCE**2
    for iteration in range(MAX_ITERATIONS):
        if square <= goal:
            return found, iteration
        image = system(direction)
        step = square / float(direction @ image)
        found += step * direction
        residual -= step * image
        before, square = square, float(residual @ residual)
        direction = residual + square / before * direction
    if square > goal:
        message = (
            f"Conjugate gradients left a relative residual of {np.sqrt(square / goal) * TOLERANCE:.1e} after "
            f"{MAX_ITERATIONS} steps; use a larger alpha or more components."
        )
        warnings.warn(message, ConvergenceWarning, stacklevel=5)
    return found, MAX_ITERATIONS


def posterior(x: NDArray[Any], centres: NDArray[Any], *, gamma: float, alpha: float) -> Posterior:
    """Factors for `variance`, of the same arguments as `solve`; n M^2 operations and M^2 float64 more."""
    centres = centres.astype(np.float64)
    with one_blas_thread():
        prior = _factor(centres, gamma)
        gram = np.zeros_like(prior)
        for _, block in _Blocks(x, centres, gamma):
            white = _forward(prior, block.T)
            gram += white @ white.T
        return Posterior(prior, _cholesky(gram, alpha), alpha)


def variance(known: Posterior, centres: NDArray[Any], x: NDArray[Any], *, gamma: float) -> Floats:
    """1 - k' K_MM^-1 k + alpha k' (K_Mn K_nM + alpha K_MM)^-1 k of (m, d) rows, as (m,), from 0 to 1."""
    found = np.empty(len(x))
    with one_blas_thread():
        for rows, block in _Blocks(x, centres.astype(np.float64), gamma):
            white = _forward(known.prior, block.T)
            left = _forward(known.seen, white)
            found[rows] = 1 - (white**2).sum(axis=0) + known.alpha * (left**2).sum(axis=0)
    return np.clip(found, 0.0, 1.0)


class _Blocks:
    """The kernel of x with the centres, by rows: each block serves a product with it and one with its transpose.

    It can be gone through more than once. Blocks may be kept for that: as long as all of them take at most a quarter of
    what memory is available, asked anew for each, because other processes may want it, too.
    """

    def __init__(self, x: NDArray[Any], centres: Floats, gamma: float, *, keep: bool = False) -> None:
        self._x, self._centres, self._gamma = x, centres, gamma
        self._keep = keep
        self._kept: dict[int, Floats] = {}
        self._bytes = 0

    def __iter__(self) -> Iterator[tuple[slice, Floats]]:
        for start in range(0, len(self._x), CHUNK):
            rows = slice(start, min(start + CHUNK, len(self._x)))
            yield rows, self._kept[start] if start in self._kept else self._computed(rows)

    def _computed(self, rows: slice) -> Floats:
        block = kernels.rbf_kernel(self._x[rows].astype(np.float64), self._centres, gamma=self._gamma)
        if self._keep and self._bytes + block.nbytes <= available_memory() // 4:
            self._kept[rows.start] = block
            self._bytes += block.nbytes
        return block


def _factor(centres: Floats, gamma: float) -> Floats:
    """R with R' R = K_MM plus the rounding error of K_MM, without which near or equal centres have no factor."""
    matrix = kernels.rbf_kernel(centres, gamma=gamma)
    jitter = len(centres) * np.finfo(np.float64).eps
    for _ in range(4):
        try:
            return _cholesky(matrix, jitter)
        except IllConditionedError:
            jitter *= 10  # distances between rows far from their mean are less exact
    return _cholesky(matrix, jitter)


def _cholesky(matrix: Floats, shift: float) -> Floats:
    factor, failed = lapack.dpotrf(matrix + shift * np.eye(len(matrix)))
    if failed:
        message = f"The centres' kernel matrix has no factor at row {failed - 1}; use a larger alpha or gamma."
        condition = float(np.abs(matrix).sum(axis=0).max()) / np.finfo(np.float64).eps
        raise IllConditionedError(message, failed - 1, condition)
    return np.asarray(factor)


def _back(upper: Floats, v: Floats) -> Floats:
    return np.asarray(solve_triangular(upper, v, check_finite=False))


def _forward(upper: Floats, v: Floats) -> Floats:
    return np.asarray(solve_triangular(upper, v, trans="T", check_finite=False))
