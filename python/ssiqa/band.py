"""Symmetric matrices by an orthogonal reduction to a band, for many shifts of one matrix.

K = Q B Q' with a block tridiagonal B serves K + alpha I for every alpha at once. Getting there takes 4/3 n^3 operations
and Q another 4/3 n^3, all of them matrix products; after that a shift costs a multiple of n^2 only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.linalg import lapack

Floats = NDArray[np.float64]

# Rows of the matrix, or columns of Q, that stay in the cache while everything is done to them.
CHUNK = 256


class Band(NamedTuple):
    """B and Q of K = Q B Q', where Q = Q_1 Q_2 ... and Q_j = I - V T V' on the last rows, as many as V has.

    Attributes:
        diagonal: (k, b, b) blocks B[j, j].
        below: (k, b, b) blocks B[j, j - 1], upper triangles; that of j = 0 is 0.
        reflectors: k - 1 pairs of V (m, b), a lower trapezoid with ones on its diagonal, and T (b, b), upper triangles.
    """

    diagonal: Floats
    below: Floats
    reflectors: list[tuple[Floats, Floats]]


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


def reduce_to_band(matrix: Floats, width: int) -> Band:
    """Reduce a symmetric matrix, of which the lower triangle is read; the whole of it is overwritten.

    Args:
        matrix: (n, n), C-contiguous, n a multiple of `width`.
        width: Size b of the blocks.
    """
    n = len(matrix)
    diagonal = np.zeros((n // width, width, width))
    below = np.zeros_like(diagonal)
    reflectors = []
    corner = matrix[:width, :width]
    diagonal[0] = np.tril(corner) + np.tril(corner, -1).T
    panel = matrix[width:, :width]
    left = right = np.empty((n - width, 0))
    for j in range(1, n // width):
        v, t, below[j] = _factor_panel(panel)
        reflectors.append((v, t))
        # The update that the previous panel left over, and the product with this one's V, in one pass over the matrix.
        x = _update_and_multiply(matrix, j * width, left, right, v) @ t
        w = x - v @ (t.T @ (v.T @ x) / 2)
        left, right = np.hstack([v, w]), np.hstack([w, v])
        columns = matrix[j * width :, j * width : (j + 1) * width] - left @ right[:width].T
        diagonal[j] = np.tril(columns[:width]) + np.tril(columns[:width], -1).T
        panel, left, right = columns[width:], left[width:], right[width:]
    return Band(diagonal, below, reflectors)


def _factor_panel(panel: Floats) -> tuple[Floats, Floats, Floats]:
    """V, T and R of the panel (m, b), which is (I - V T V') [R; 0]."""
    width = panel.shape[1]
    packed, t, _ = lapack.dgeqrt(width, panel)
    v = np.tril(packed, -1)
    np.fill_diagonal(v, 1.0)
    return np.ascontiguousarray(v), np.triu(t), np.triu(packed[:width])


def _update_and_multiply(matrix: Floats, start: int, left: Floats, right: Floats, v: Floats) -> Floats:
    """Subtract `left` @ `right`' from the matrix from row and column `start` on, and give the result's product with v.

    Only the lower triangle is kept, and squares of CHUNK on the diagonal.
    """
    n = len(matrix)
    product = np.zeros_like(v)
    room = np.empty(CHUNK * (n - start))
    for chunk in range(start - start % CHUNK, n, CHUNK):
        top, bottom = max(chunk, start) - start, min(chunk + CHUNK, n) - start
        rows = matrix[start + top : start + bottom, start : start + bottom]
        if left.shape[1]:
            update = room[: rows.size].reshape(rows.shape)
            np.matmul(left[top:bottom], right[:bottom].T, out=update)
            rows -= update
        product[top:bottom] += rows @ v[:bottom]
        product[:top] += rows[:, :top].T @ v[top:bottom]
    return product


def orthogonal(band: Band, dtype: DTypeLike) -> NDArray[Any]:
    """Q (n, n) in a dtype, in whose precision it is also computed."""
    n = band.diagonal.shape[0] * band.diagonal.shape[1]
    groups = [(v.astype(dtype), t.astype(dtype)) for v, t in _merged(_merged(band.reflectors))]
    q = np.empty((n, n), dtype)
    for start in range(0, n, CHUNK):
        columns = np.eye(n, min(CHUNK, n - start), -start, dtype)
        for v, t in reversed(groups):
            if n - len(v) < start + CHUNK:  # the others work on rows where these columns have only zeros
                _reflect(columns, v, t)
        q[:, start : start + CHUNK] = columns
    return q


def _merged(reflectors: list[tuple[Floats, Floats]]) -> list[tuple[Floats, Floats]]:
    """The same product with each two neighbours as one of their common width: fewer passes over Q."""
    merged = []
    for (v, t), (later, u) in zip(reflectors[::2], reflectors[1::2], strict=False):
        rows, width = len(v) - len(later), len(t)
        both = np.zeros((len(v), width + len(u)))
        both[:, :width], both[rows:, width:] = v, later
        corner = np.zeros((width + len(u), width + len(u)))
        corner[:width, :width], corner[width:, width:] = t, u
        corner[:width, width:] = -t @ (v[rows:].T @ later) @ u
        merged.append((both, corner))
    return merged + reflectors[2 * len(merged) :]


def _reflect(columns: NDArray[Any], v: NDArray[Any], t: NDArray[Any]) -> None:
    """Multiply the columns by I - V T V' in place; with T' for T, by its transpose."""
    part = columns[len(columns) - len(v) :]
    part -= v @ (t @ (v.T @ part))


def multiply(band: Band, columns: Floats) -> Floats:
    """Q @ columns in float64, for few (n, t) columns."""
    result: Floats = columns.copy()
    for v, t in reversed(band.reflectors):
        _reflect(result, v, t)
    return result


def multiply_transposed(band: Band, columns: Floats) -> Floats:
    """Q' @ columns in float64, for few (n, t) columns."""
    result: Floats = columns.copy()
    for v, t in band.reflectors:
        _reflect(result, v, t.T)
    return result


def factorise(band: Band, alphas: Floats) -> tuple[Factors, NDArray[np.bool_]]:
    """Cholesky factors of B + alpha I for (a,) alphas, and which of them exist: where a pivot is above rounding error.

    The bound is that of `ssiqa.kernels.krr_fit`: n eps (1 + alpha), for a matrix K with ones on its diagonal. The
    factors hold only the alphas that pass.
    """
    k, width, _ = band.diagonal.shape
    found = [
        _factorise(band, float(alpha), k * width * np.finfo(np.float64).eps * (1 + float(alpha))) for alpha in alphas
    ]
    usable = np.array([factors is not None for factors in found], dtype=bool)
    kept = [factors for factors in found if factors is not None]
    shape = (len(kept), k, width, width)
    return Factors(*(np.array([factors[i] for factors in kept]).reshape(shape) for i in range(3))), usable


def _factorise(band: Band, alpha: float, floor: float) -> Factors | None:
    inverse, below, step = (np.zeros_like(band.diagonal) for _ in range(3))
    shift = alpha * np.eye(band.diagonal.shape[1])
    for j, block in enumerate(band.diagonal):
        below[j] = band.below[j] @ inverse[j - 1].T if j else 0.0
        root, failed = lapack.dpotrf(block + shift - below[j] @ below[j].T, lower=1)
        if failed or not (root.diagonal() ** 2 > floor).all():
            return None
        inverse[j], _ = lapack.dtrtri(root, lower=1)
        step[j] = inverse[j] @ below[j]
    return Factors(inverse, below, step)


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


def quadratic_forms(factors: Factors, rows: NDArray[Any]) -> Floats:
    """q' (B + alpha I)^-1 q for each row q of (m, n), as (a, m): the squared lengths of L^-1 q.

    L^-1 q is computed in the precision of the rows, its length in float64.
    """
    _, k, width, _ = factors.inverse.shape
    inverses = np.ascontiguousarray(factors.inverse.transpose(0, 1, 3, 2), rows.dtype)
    steps = np.ascontiguousarray(factors.step.transpose(0, 1, 3, 2), rows.dtype)
    forms = np.zeros((len(inverses), len(rows)))
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        for form, inverse, step in zip(forms[:, start : start + CHUNK], inverses, steps, strict=True):
            now = np.zeros((len(part), width), rows.dtype)
            for j in range(k):
                now = part[:, j * width : (j + 1) * width] @ inverse[j] - now @ step[j]
                form += np.einsum("ij,ij->i", now, now)
    return forms
