"""Kernel ridge regression on a GPU as `KernelRidge` has it: chosen, fitted and asked where the features are.

Rows and centres are drawn as there, and what is chosen is chosen by the same errors. It takes CPU tensors, too: so it
is tested without a GPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from torch import Tensor

from ssiqa import gpu_krr, gpu_nystrom, kernels, krr
from ssiqa.gpu_memory import free_memory

Floats = NDArray[np.float64]

# Of the exact fit: K in float32 and, where that does not suffice, in float64, the first of which is released then.
BYTES_PER_PAIR = 8
CENTRES = 2048
"""Of a regression on rows that are too many for an exact one."""


class GpuRidge:
    """A fitted regression; attributes and methods are those of `ssiqa.ridge.Regression`."""

    def __init__(
        self,
        features: Tensor,
        targets: Tensor,
        groups: NDArray[np.int64] | None,
        *,
        gamma: float | str,
        alpha: float | str,
        seed: int,
    ) -> None:
        random = check_random_state(seed)
        self.mean = float(targets.mean())
        centred = targets - self.mean
        self.loo_rmse: float | None = None
        if isinstance(gamma, str) or isinstance(alpha, str):
            rows, left_out = krr.selection_rows(groups, len(features), random)
            some = torch.from_numpy(rows).to(features.device)
            choice = _best(features[some].double(), centred[some], gamma, alpha, left_out)
            self.gamma, self.alpha, self.loo_rmse = choice.gamma, choice.alpha, choice.rmse
        else:
            self.gamma, self.alpha = float(gamma), float(alpha)
        self._rows, settings = features, {"gamma": self.gamma, "alpha": self.alpha}
        n = len(features)
        self._is_exact = BYTES_PER_PAIR * n * n <= free_memory(features.device) // 2
        if self._is_exact:
            self.centres = features
            self.weights = kernels.krr_fit(features, centred.to(features.dtype), **settings)
            amplitude = max(0.0, float((centred * self.weights).mean()))
        else:
            chosen = torch.from_numpy(krr.some_rows(n, CENTRES, random)).to(features.device)
            self.centres = features[chosen]
            self.weights, amplitude = gpu_nystrom.solve(features, centred, self.centres, **settings)
        self.scale = amplitude**0.5
        self._posterior: Any = None

    def predict(self, features: Tensor) -> tuple[Tensor, Tensor]:
        dtype = self.weights.dtype  # of centres float64: they cancel
        near = kernels.rbf_matvec(features.to(dtype), self.centres.to(dtype), self.weights, gamma=self.gamma)
        std = self.scale * self._variance(features.to(self.centres.dtype)).sqrt()
        return (near + self.mean).to(features.dtype), std.to(features.dtype)

    def _variance(self, features: Tensor) -> Tensor:
        settings = {"gamma": self.gamma, "alpha": self.alpha}
        if self._posterior is None and self._is_exact:
            self._posterior = kernels.krr_factor(self.centres, **settings)
        elif self._posterior is None:
            self._posterior = gpu_nystrom.posterior(self._rows, self.centres, **settings)
        variance: Tensor = self._posterior.variance(features)
        return variance


def _best(x: Tensor, y: Tensor, gamma: float | str, alpha: float | str, groups: NDArray[np.int64] | None) -> krr.Choice:
    distances = kernels.squared_distances(x)
    gammas, alphas = krr.grid(median_distance(distances), gamma, alpha)
    wanted, y = torch.from_numpy(alphas).to(x.device), y - y.mean()  # the mean of the others follows from that
    table = np.array([_errors(torch.exp(-width * distances), y, wanted, groups).cpu().numpy() for width in gammas])
    return krr.smallest(table, gammas, alphas)


def median_distance(distances: Tensor) -> float:
    """As `krr.median_distance`, to the last bit."""
    between, _ = distances[torch.ones_like(distances, dtype=torch.bool).tril_(-1)].sort()
    if _middle(between) == 0 and between[-1] > 0:
        between = between[between > 0]
    median = _middle(between)
    return median if median > 0 else 1.0


def _middle(ordered: Tensor) -> float:
    return float((ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2)


def _errors(kernel: Tensor, y: Tensor, alphas: Tensor, groups: NDArray[np.int64] | None) -> Tensor:
    """Root mean squared errors ``(a,)`` on rows, or groups, that are left out; infinite where there is no inverse."""
    found = torch.full_like(alphas, torch.inf)
    columns = torch.stack([y, torch.ones_like(y)], dim=1)
    if groups is None:
        usable, solved, diagonal = gpu_krr.inverses(kernel, columns, alphas)
        errors = (solved[..., 0] + y / (len(y) - 1) * solved[..., 1]) / diagonal
        found[usable] = errors.square().mean(dim=1).sqrt()
        return found
    values, vectors = torch.linalg.eigh(kernel)
    blocks = _Blocks(groups, y)
    for number, alpha in enumerate(alphas):
        if values[0] + alpha > len(y) * torch.finfo(torch.float64).eps * values[-1]:
            inverse = (vectors / (values + alpha)) @ vectors.mT
            found[number] = blocks.rmse(inverse, inverse @ columns)
    return found


class _Blocks:
    """Rows by groups, all at once: the shorter groups are filled up with rows of the identity."""

    def __init__(self, groups: NDArray[np.int64], y: Tensor) -> None:
        members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
        size = max(map(len, members))
        rows = np.stack([np.pad(inside, (0, size - len(inside)), constant_values=-1) for inside in members])
        self._rows = torch.from_numpy(rows).to(y.device)
        self._real = self._rows >= 0
        sums = torch.where(self._real, y[self._rows], 0).sum(dim=1)
        self._mean_of_others = (y.sum() - sums) / (len(y) - self._real.sum(dim=1))
        self._count = len(y)

    def rmse(self, inverse: Tensor, solved: Tensor) -> Tensor:
        """By G = (K + alpha I)^-1 and what it makes of y and of ones: see `group_out`."""
        pairs = self._real[:, :, None] & self._real[:, None, :]
        filling = torch.eye(self._rows.shape[1], dtype=inverse.dtype, device=inverse.device)
        blocks = torch.where(pairs, inverse[self._rows[:, :, None], self._rows[:, None, :]], filling)
        wanted = solved[self._rows, 0] - self._mean_of_others[:, None] * solved[self._rows, 1]
        lower, failed = torch.linalg.cholesky_ex(blocks)
        errors = torch.cholesky_solve(torch.where(self._real, wanted, 0)[:, :, None], lower)
        return torch.where(failed.any(), torch.inf, torch.sqrt(errors.square().sum() / self._count))
