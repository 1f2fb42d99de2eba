"""Symmetric matrices by an orthogonal reduction to a band, for many shifts of one matrix.

K = Q B Q' with a block tridiagonal B serves K + alpha I for every alpha at once. Getting there takes 4/3 n^3 operations
and Q another 4/3 n^3, all of them matrix products of the native core; after that a shift costs a multiple of n^2 only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from ssiqa import _core

Floats = NDArray[np.float64]

# Rows of a block of the band.
WIDTH = _core.BAND_WIDTH


class Band(NamedTuple):
    """B and Q of K = Q B Q', where Q = Q_1 Q_2 ... and Q_j = I - V_j T_j V_j' on the last rows, as many as V_j has.

    Attributes:
        diagonal: (k, b, b) blocks B[j, j].
        below: (k, b, b) blocks B[j, j - 1], upper triangles; that of j = 0 is 0.
        vectors: V_1, V_2, ..., each column by column: lower trapezoids with ones on the diagonal.
        corners: (k - 1, b, b) T_1, T_2, ..., upper triangles.
    """

    diagonal: Floats
    below: Floats
    vectors: Floats
    corners: Floats

    def reflectors(self) -> list[tuple[Floats, Floats]]:
        """V_j (m, b) and T_j (b, b), j = 1, 2, ..., without a copy."""
        found, start = [], 0
        for rows, corner in zip(range((len(self.diagonal) - 1) * WIDTH, 0, -WIDTH), self.corners, strict=True):
            found.append((self.vectors[start : start + rows * WIDTH].reshape(WIDTH, rows).T, corner))
            start += rows * WIDTH
        return found


class Factors(NamedTuple):
    """B + alpha I = L L' for several alphas, by what solving needs of L.

    Attributes:
        inverse: (a, k, b, b) inverses of the diagonal blocks of L.
        below: (a, k, b, b) blocks L[j, j - 1].
        step: (a, k, b, b) products of the two, so that (L^-1 z)_j = inverse_j z_j - step_j (L^-1 z)_(j - 1).
    """

    inverse: Floats
    below: Floats
    step: Floats


def reduced_kernel(distances: Floats, gamma: float) -> Band:
    """The kernel exp(-gamma d) of (n, n) squared distances, filled up by rows of the identity to whole blocks."""
    blocks = -(-len(distances) // WIDTH)
    diagonal, below = np.empty((2, blocks, WIDTH, WIDTH))
    vectors, corners = np.empty(blocks * (blocks - 1) // 2 * WIDTH**2), np.empty((blocks - 1, WIDTH, WIDTH))
    _core.reduce_kernel(distances, gamma, diagonal, below, vectors, corners)
    return Band(diagonal, below, vectors, corners)


def _reflect(columns: Floats, v: Floats, t: Floats) -> None:
    """Multiply the columns by I - V T V' in place; with T' for T, by its transpose."""
    part = columns[len(columns) - len(v) :]
    part -= v @ (t @ (v.T @ part))


def multiply(band: Band, columns: Floats) -> Floats:
    """Q @ columns in float64, for few (n, t) columns."""
    result: Floats = columns.copy()
    for v, t in reversed(band.reflectors()):
        _reflect(result, v, t)
    return result


def multiply_transposed(band: Band, columns: Floats) -> Floats:
    """Q' @ columns in float64, for few (n, t) columns."""
    result: Floats = columns.copy()
    for v, t in band.reflectors():
        _reflect(result, v, t.T)
    return result


def factorise(band: Band, alphas: Floats) -> tuple[Factors, NDArray[np.bool_]]:
    """Cholesky factors of B + alpha I for (a,) alphas, and which of them exist: where a pivot is above rounding error.

    The bound is that of `ssiqa.kernels.krr_fit`: n eps (1 + alpha), for a matrix K with ones on its diagonal. The
    factors hold only the alphas that pass.
    """
    k, width, _ = band.diagonal.shape
    factors = Factors(*np.zeros((3, len(alphas), k, width, width)))
    usable = np.zeros(len(alphas), dtype=bool)
    for i, alpha in enumerate(alphas.tolist()):
        floor = k * width * np.finfo(np.float64).eps * (1 + alpha)
        usable[i] = _factorise(band, alpha, floor, Factors(*(part[i] for part in factors)))
    return factors if usable.all() else Factors(*(part[usable] for part in factors)), usable


def _factorise(band: Band, alpha: float, floor: float, out: Factors) -> bool:
    """Fill the (k, b, b) blocks of one alpha; whether there are such."""
    inverse, below, step = out
    shift = alpha * np.eye(band.diagonal.shape[1])
    for j, block in enumerate(band.diagonal):
        below[j] = band.below[j] @ inverse[j - 1].T if j else 0.0
        root, failed = lapack.dpotrf(block + shift - below[j] @ below[j].T, lower=1)
        if failed or not (root.diagonal() ** 2 > floor).all():
            return False
        inverse[j], _ = lapack.dtrtri(root, lower=1)
        step[j] = inverse[j] @ below[j]
    return True


def solve(factors: Factors, columns: Floats) -> Floats:
    """(B + alpha I)^-1 @ columns: (n, t) to (a, n, t)."""
    a, k, width, _ = factors.inverse.shape
    z = columns.reshape(k, width, -1)
    result = np.empty((a, *z.shape))
    for j in range(k):
        result[:, j] = factors.inverse[:, j] @ z[j]
        if j:
            result[:, j] -= factors.step[:, j] @ result[:, j - 1]
    for j in reversed(range(k)):
        if j + 1 < k:
            result[:, j] -= factors.below[:, j + 1].transpose(0, 2, 1) @ result[:, j + 1]
        result[:, j] = factors.inverse[:, j].transpose(0, 2, 1) @ result[:, j]
    return result.reshape(a, *columns.shape)


def inverse_diagonal(band: Band, factors: Factors, rows: int, *, single: bool, threads: int = 1) -> Floats:
    """The first `rows` numbers of the diagonal of Q (B + alpha I)^-1 Q', as (a, rows).

    They are the squared lengths of L^-1 q by those of the rows q of Q. Q and L^-1 q are computed in float64 or, where
    `single`, in float32.
    """
    out = np.empty((len(factors.inverse), rows))
    _core.inverse_diagonal(band.vectors, band.corners, factors.inverse, factors.step, out, single, threads)
    return out
