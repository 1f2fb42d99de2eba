"""Leave-one-out errors of kernel ridge regression for a grid of widths and penalties, without a single refit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from ssiqa import _core, band, kernels
from ssiqa.blas import one_blas_thread
from ssiqa.gpu import is_on_gpu
from ssiqa.memory import available_memory
from ssiqa.scaling import centred

Floats = NDArray[np.float64]

# Up to so many rows an eigendecomposition is as fast as the reduction to a band, and simpler.
FEW_ROWS = 384
# Rows on which float32 is compared with float64, and the relative difference that sends all rows to float64.
SAMPLE = 64
TOLERANCE = 2e-7
# Of one gamma at work, for each pair of rows, and for each row and alpha.
BYTES_PER_PAIR = 24
BYTES_PER_ALPHA = 2560


class LeaveOneOut(NamedTuple):
    """What `leave_one_out` finds.

    Attributes:
        rmse: (g, a) root mean squared errors, in units of y.
        errors: (g, a, n) errors y_i minus the prediction for row i from all the other rows.
    """

    rmse: Floats
    errors: Floats


def leave_one_out(x: Any, y: Any, *, gammas: Any, alphas: Any) -> LeaveOneOut:
    """Errors of predicting each target from all the other rows, centred by their own mean, for each gamma and alpha.

    They equal those of n explicit refits for each point of the grid. With G = (K + alpha I)^-1, leaving out row i of a
    fit to y - m leaves the error [G (y - m)]_i / G_ii. For each gamma, one reduction of K to a band matrix gives the
    diagonal of G for all alphas, in about 8/3 n^3 operations however many they are. As many gammas are at work side by
    side as `ssiqa.kernels` has threads and the memory available holds, at least one, each of which takes 24 n^2 bytes
    and 2.5 KB for each row and alpha. The reduction, half of the work, is done by one thread for each gamma. Results do
    not depend on the number of threads.

    Args:
        x: (n, d) features, n at least 2. In the memory of a GPU they stay there, where an eigendecomposition for each
            gamma takes the place of the reduction.
        y: (n,) targets, in CPU memory.
        gammas: (g,) inverse squared widths, at least 0.
        alphas: (a,) penalties, at least 0.

    Returns:
        The errors, each to 1e-6 of itself and, because K is rounded to float64, n 2.2e-16 / alpha of the largest
        |y - mean|. They are infinite where K + alpha I is not numerically positive definite, where
        `ssiqa.kernels.krr_fit` raises; never NaN.

    Raises:
        ValueError: A shape or a number is not usable.

    Example:
        >>> import numpy as np
        >>> x = np.linspace(0, 3, 30)[:, None]
        >>> found = leave_one_out(x, np.sin(x[:, 0]), gammas=[0.5, 50.0], alphas=[1e-4, 0.1, 10.0])
        >>> found.rmse.shape
        (2, 3)
        >>> gamma, alpha = np.unravel_index(found.rmse.argmin(), found.rmse.shape)
        >>> int(gamma), int(alpha)
        (0, 0)
        >>> bool(found.rmse.min() < 0.01)
        True
    """
    on_gpu = hasattr(x, "__dlpack_device__") and is_on_gpu(x)
    y, gammas, alphas = (np.asarray(values, dtype=np.float64, order="C") for values in (y, gammas, alphas))
    if not on_gpu:
        x = np.asarray(x, dtype=np.float64, order="C")
    if x.ndim != 2 or y.shape != x.shape[:1] or len(y) < 2:
        raise ValueError(
            f"x must be (n, d) and y (n,), with n at least 2, but their shapes are {x.shape} and {y.shape}."
        )
    if not np.isfinite(y).all():
        raise ValueError("y must hold finite numbers.")
    for name, values in (("gammas", gammas), ("alphas", alphas)):
        if values.ndim != 1 or not (np.isfinite(values) & (values >= 0)).all():
            raise ValueError(f"{name} must be a list of finite numbers that are not negative.")
    return _on_gpu(x, y, gammas, alphas) if on_gpu else from_distances(kernels.squared_distances(x), y, gammas, alphas)


def from_distances(distances: Floats, y: Floats, gammas: Floats, alphas: Floats) -> LeaveOneOut:
    """The same from (n, n) squared distances."""
    # Threaded products wait for their slowest thread thousands of times, and stall on a machine that is otherwise busy;
    # one thread for each gamma does not, and rounds alike on any number of cores.
    _, values, exponent = centred(y)  # any common offset cancels; without it less is lost to rounding
    workers = max(1, min(len(gammas), _workers(len(y), len(alphas))))
    threads = _core.n_threads() // workers
    with one_blas_thread(), ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(lambda gamma: _errors(distances, values, float(gamma), alphas, threads), gammas))
    return _found(np.array(found).reshape(len(gammas), len(alphas), len(y)), exponent)


def _on_gpu(x: Any, y: Floats, gammas: Floats, alphas: Floats) -> LeaveOneOut:
    import torch
    from torch.utils.dlpack import from_dlpack

    from ssiqa import gpu_krr

    rows = from_dlpack(x).double()
    if not bool(rows.isfinite().all()):
        raise ValueError("x must hold finite numbers.")
    _, values, exponent = centred(y)
    columns = np.stack([values, np.ones(len(values))], axis=1)
    on_device = [torch.from_numpy(array).to(rows.device) for array in (columns, alphas)]
    errors = []
    for gamma in gammas:
        found = gpu_krr.inverses(kernels.rbf_kernel(rows, gamma=float(gamma)), *on_device)
        errors.append(_held_out(_Inverse(*(tensor.cpu().numpy() for tensor in found)), values))
    return _found(np.array(errors), exponent)


def _found(errors: Floats, exponent: int) -> LeaveOneOut:
    rmse = np.sqrt(np.mean(errors**2, axis=2))
    with np.errstate(over="ignore"):  # targets near the largest float64 may have errors beyond it
        return LeaveOneOut(np.ldexp(rmse, exponent), np.ldexp(errors, exponent))


def _workers(n: int, alphas: int) -> int:
    taken = BYTES_PER_PAIR * n * n + BYTES_PER_ALPHA * n * alphas
    return max(1, min(_core.n_threads(), available_memory() // taken))


def _errors(distances: Floats, y: Floats, gamma: float, alphas: Floats, threads: int) -> Floats:
    """Errors (a, n) for one gamma, of centred targets of about 1."""
    n = len(y)
    targets = np.ones((n, 2))
    targets[:, 0] = y
    if n <= FEW_ROWS:
        return _held_out(_by_eigenvectors(distances, gamma, alphas, targets), y)
    return _held_out(_by_band(distances, gamma, alphas, targets, threads), y)


class _Inverse(NamedTuple):
    """Of G = (K + alpha I)^-1: for which alphas (a,) it exists, and for these G @ columns (u, n, t) and G_ii (u, n)."""

    usable: NDArray[np.bool_]
    solved: Floats
    diagonal: Floats


def _held_out(inverse: _Inverse, y: Floats) -> Floats:
    """Errors (a, n), by what the inverse makes of the targets and of ones."""
    errors = np.full((len(inverse.usable), len(y)), np.inf)
    mean_of_others = -y / (len(y) - 1)
    errors[inverse.usable] = (inverse.solved[..., 0] - mean_of_others * inverse.solved[..., 1]) / inverse.diagonal
    return errors


def _by_eigenvectors(distances: Floats, gamma: float, alphas: Floats, columns: Floats) -> _Inverse:
    with np.errstate(over="ignore"):  # exp(-inf) is the right 0
        kernel = np.exp(-gamma * distances)
    values, vectors = eigh(kernel, driver="evd", overwrite_a=True, check_finite=False)
    # As in the fit, an eigenvalue that is rounding error must not decide.
    usable = values[0] + alphas > len(values) * np.finfo(np.float64).eps * (1 + alphas)
    weights = 1 / (values + alphas[usable, None])
    solved = vectors @ (weights[:, :, None] * (vectors.T @ columns))
    return _Inverse(usable, solved, weights @ (vectors**2).T)


def _by_band(distances: Floats, gamma: float, alphas: Floats, columns: Floats, threads: int) -> _Inverse:
    n = len(columns)
    reduced = band.reduced_kernel(distances, gamma)
    factors, usable = band.factorise(reduced, alphas)
    if not usable.any():
        return _Inverse(usable, np.empty((0, n, columns.shape[1])), np.empty((0, n)))
    padded = np.zeros((len(reduced.diagonal) * band.WIDTH, columns.shape[1]))
    padded[:n] = columns
    solved = _solve(reduced, factors, padded)[:, :n]
    return _Inverse(usable, solved, _inverse_diagonal(reduced, factors, n, threads))


def _solve(reduced: band.Band, factors: band.Factors, columns: Floats) -> Floats:
    """(K + alpha I)^-1 @ columns: (n, t) to (a, n, t)."""
    solved = band.solve(factors, band.multiply_transposed(reduced, columns))
    side_by_side = solved.transpose(1, 0, 2).reshape(len(columns), -1)
    restored = band.multiply(reduced, side_by_side).reshape(len(columns), len(solved), -1)
    return np.asarray(restored.transpose(1, 0, 2))


def _inverse_diagonal(reduced: band.Band, factors: band.Factors, n: int, threads: int) -> Floats:
    """The first n of the diagonal of (K + alpha I)^-1, as (a, n).

    From Q on, float32 takes half the time. Its rounding moves a row q of Q by some e of length 1e-6, and G_ii = q' H q
    by 2 q' H e. The part of e along q is taken out by the length of q. The rest is at most 2 |e| / sqrt(alpha G_ii) of
    G_ii, and about 1 / sqrt(n) of that because e has no preferred direction. Rows of all sizes of G_ii are computed in
    float64 too, to see that it is so. The first rows always are: their q are rows of the identity, so that nothing
    averages the rounding of L.
    """
    rough = band.inverse_diagonal(reduced, factors, n, single=True, threads=threads)
    by_size = band.WIDTH + np.argsort(rough[0, band.WIDTH :])
    spread = by_size[np.linspace(0, n - band.WIDTH - 1, SAMPLE).astype(np.intp)]
    rows = np.concatenate([np.arange(band.WIDTH), spread])
    units = np.zeros((len(reduced.diagonal) * band.WIDTH, len(rows)))
    units[rows, np.arange(len(rows))] = 1
    exact = _exact_diagonal(reduced, factors, units)
    if (np.abs(rough[:, spread] - exact[:, band.WIDTH :]) > TOLERANCE * exact[:, band.WIDTH :]).any():
        return band.inverse_diagonal(reduced, factors, n, single=False, threads=threads)
    rough[:, rows] = exact
    return rough


def _exact_diagonal(reduced: band.Band, factors: band.Factors, units: Floats) -> Floats:
    q = band.multiply_transposed(reduced, units)
    return np.asarray(np.einsum("nt,ant->at", q, band.solve(factors, q)))
