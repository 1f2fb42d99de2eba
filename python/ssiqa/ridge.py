"""Kernel ridge regression on tensors, where they are: on the CPU by `KernelRidge`, on a GPU by the same steps there."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssiqa import gpu_nystrom, nystrom
from ssiqa.gpu_ridge import GpuRidge
from ssiqa.krr import KernelRidge


class Regression(Protocol):
    """A sum of RBF kernels around rows that were learnt.

    Attributes:
        gamma: Inverse squared width of the kernel.
        alpha: Penalty.
        loo_rmse: Error on what was left out, where gamma or alpha were chosen by it.
        scale: Standard deviation of the function a priori, in units of the targets.
        mean: What is said of a row far from all centres.
        centres: ``(m, d)`` rows, in the dtype of the features.
        weights: ``(m,)`` of theirs.
    """

    gamma: float
    alpha: float
    loo_rmse: float | None
    scale: float
    mean: float
    centres: Tensor
    weights: Tensor

    def predict(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """``(m, d)`` features to targets and posterior standard deviations, ``(m,)`` each."""
        ...


def fit(
    features: Tensor,
    targets: Tensor,
    groups: NDArray[np.int64] | None = None,
    *,
    gamma: float | str,
    alpha: float | str,
    seed: int,
) -> Regression:
    """Choose what is ``"auto"``, and learn targets.

    Args:
        features: ``(n, d)`` float32 or float64.
        targets: ``(n,)`` float64, of about 1, in the same memory.
        groups: ``(n,)``; rows of one are near-duplicates.
        gamma: Inverse squared width of the kernel.
        alpha: Penalty.
        seed: Of the rows that the choice is made on, and of the centres where memory does not allow all.

    Raises:
        ValueError: As `KernelRidge.fit`.
        IllConditionedError: As `KernelRidge.fit`.
    """
    kind = GpuRidge if features.is_cuda else _OnCpu
    return kind(features, targets, groups, gamma=gamma, alpha=alpha, seed=seed)


def weigh(centres: Tensor, features: Tensor, targets: Tensor, *, gamma: float, alpha: float) -> Tensor:
    """Weights ``(m,)`` float64 of given centres, for targets without their mean, where the features are.

    Args:
        centres: ``(m, d)`` some of the features.
        features: ``(n, d)`` float32 or float64.
        targets: ``(n,)`` float64, of about 1 around 0.
        gamma: Inverse squared width of the kernel.
        alpha: Penalty, above 0.

    Raises:
        IllConditionedError: alpha is too small for these rows.
    """
    if features.is_cuda:
        return gpu_nystrom.solve(features, targets, centres, gamma=gamma, alpha=alpha)[0]
    found = nystrom.solve(features.numpy(), targets.numpy(), centres.numpy(), gamma=gamma, alpha=alpha)
    return torch.from_numpy(found.coef)


class _OnCpu:
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
        self._fitted = KernelRidge(gamma, alpha, seed).fit(features.numpy(), targets.numpy(), groups)
        self.gamma, self.alpha = float(self._fitted.gamma_), float(self._fitted.alpha_)
        self.loo_rmse, self.scale, self.mean = self._fitted.loo_rmse_, self._fitted.scale_, float(self._fitted.y_mean_)
        self.centres, self.weights = (
            torch.from_numpy(np.asarray(found)) for found in (self._fitted.X_fit_, self._fitted.dual_coef_)
        )

    def predict(self, features: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = self._fitted.predict(features.numpy(), return_std=True)
        return torch.from_numpy(mean), torch.from_numpy(std)
