"""Kernel ridge regression on few centres where torch's tensors are: the steps of `nystrom`, which says why.

On a GPU a block of the kernel costs less to compute again than to read from the memory of the machine, and is not kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from ssiqa import kernels
from ssiqa.errors import IllConditionedError
from ssiqa.nystrom import MAX_ITERATIONS, TOLERANCE

# Rows whose kernel with the centres is in memory at once.
CHUNK = 16_384


def solve(x: Tensor, y: Tensor, centres: Tensor, *, gamma: float, alpha: float) -> tuple[Tensor, float]:
    """Weights ``(m,)`` of the centres, and the amplitude: as `nystrom.solve`.

    Raises:
        IllConditionedError: No factor of the centres' kernel matrix or of its square plus alpha exists.

    Warns:
        sklearn.exceptions.ConvergenceWarning: 200 steps were not enough.
    """
    centres = centres.double()
    prior = _prior(centres, gamma)
    inner = _upper(prior @ prior.mT * (len(x) / len(centres)), alpha)

    def whitened(v: Tensor) -> Tensor:
        return _back(prior, _back(inner, v))

    def gathered(v: Tensor) -> Tensor:
        return _forward(inner, _forward(prior, v))

    def system(v: Tensor) -> Tensor:
        weights = whitened(v)
        total = alpha * (prior.mT @ (prior @ weights))
        for _, block in _blocks(x, centres, gamma):
            total += block.mT @ (block @ weights)
        return gathered(total)

    columns = y[:, None]
    right = torch.zeros_like(centres[:, :1])
    for rows, block in _blocks(x, centres, gamma):
        right += block.mT @ columns[rows]
    coef = whitened(_conjugate_gradients(system, gathered(right)))
    if not bool(coef.isfinite().all()):
        raise IllConditionedError("The weights of the centres are not finite; use a larger alpha.", 0, float("inf"))
    amplitude = max(0.0, float((y @ y) - (right * coef).sum())) / alpha / len(y)
    return coef[:, 0], amplitude


class Posterior:
    """What is left of the prior variance, with all rows known."""

    def __init__(self, prior: Tensor, seen: Tensor, centres: Tensor, gamma: float, alpha: float) -> None:
        self._prior, self._seen, self._centres, self._gamma, self._alpha = prior, seen, centres, gamma, alpha

    def variance(self, x: Tensor) -> Tensor:
        """As `nystrom.variance`: ``(m, d)`` rows to ``(m,)``, from 0 to 1."""
        found = torch.empty(len(x), dtype=torch.float64, device=x.device)
        for rows, block in _blocks(x, self._centres, self._gamma):
            white = _forward(self._prior, block.mT)
            left = _forward(self._seen, white)
            found[rows] = 1 - white.square().sum(dim=0) + self._alpha * left.square().sum(dim=0)
        return found.clamp_(0, 1)


def posterior(x: Tensor, centres: Tensor, *, gamma: float, alpha: float) -> Posterior:
    """Of the same arguments as `solve`."""
    centres = centres.double()
    prior = _prior(centres, gamma)
    gram = torch.zeros_like(prior)
    for _, block in _blocks(x, centres, gamma):
        white = _forward(prior, block.mT)
        gram += white @ white.mT
    return Posterior(prior, _upper(gram, alpha), centres, gamma, alpha)


def _blocks(x: Tensor, centres: Tensor, gamma: float) -> Iterator[tuple[slice, Tensor]]:
    for start in range(0, len(x), CHUNK):
        rows = slice(start, min(start + CHUNK, len(x)))
        yield rows, kernels.rbf_kernel(x[rows].double(), centres, gamma=gamma)


def _conjugate_gradients(system: Callable[[Tensor], Tensor], right: Tensor) -> Tensor:
    found, residual, direction = torch.zeros_like(right), right, right
    square = float(residual.square().sum())
    goal = square * TOLERANCE**2
    for _ in range(MAX_ITERATIONS):
        if square <= goal:
            return found
        image = system(direction)
        step = square / float((direction * image).sum())
        found, residual = found + step * direction, residual - step * image
        before, square = square, float(residual.square().sum())
        direction = residual + square / before * direction
    if square > goal:
        message = (
            f"Conjugate gradients left a relative residual of {(square / goal) ** 0.5 * TOLERANCE:.1e} after "
            f"{MAX_ITERATIONS} steps; use a larger alpha or more components."
        )
        warnings.warn(message, ConvergenceWarning, stacklevel=4)
    return found


def _prior(centres: Tensor, gamma: float) -> Tensor:
    """R with R' R = K_MM plus the rounding error of K_MM, without which near or equal centres have no factor."""
    matrix = kernels.rbf_kernel(centres, gamma=gamma)
    jitter = len(centres) * torch.finfo(torch.float64).eps
    for _ in range(4):
        try:
            return _upper(matrix, jitter)
        except IllConditionedError:
            jitter *= 10  # distances between rows far from their mean are less exact
    return _upper(matrix, jitter)


def _upper(matrix: Tensor, shift: float) -> Tensor:
    shifted = matrix + shift * torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    factor, info = torch.linalg.cholesky_ex(shifted, upper=True)
    if failed := int(info):
        message = f"The centres' kernel matrix has no factor at row {failed - 1}; use a larger alpha or gamma."
        condition = float(matrix.abs().sum(dim=0).max()) / torch.finfo(torch.float64).eps
        raise IllConditionedError(message, failed - 1, condition)
    upper: Tensor = factor
    return upper


def _back(upper: Tensor, v: Tensor) -> Tensor:
    solved: Tensor = torch.linalg.solve_triangular(upper, v, upper=True)
    return solved


def _forward(upper: Tensor, v: Tensor) -> Tensor:
    solved: Tensor = torch.linalg.solve_triangular(upper.mT, v, upper=False)
    return solved
