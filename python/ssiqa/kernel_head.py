"""Kernel ridge regression as the last layer of a network."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssiqa.krr import KernelRidge

CENTRES = 1024
"""Photos that it consists of, at most: with 3,488 features each, 14 MB in a checkpoint, 28 MB in an exported file."""


class KernelHead(nn.Module):
    """Features ``(n, d)`` to scores ``(n,)``, a sum of RBF kernels around photos that were learnt.

    Attributes:
        centres: ``(m, d)`` features of these photos.
        weights: ``(m,)``.
        gamma: Inverse squared width of the kernel.
        mean: What is said of a photo far from all of them.
    """

    centres: Tensor
    weights: Tensor
    gamma: Tensor
    mean: Tensor

    def __init__(self, centres: Tensor, weights: Tensor, gamma: float, mean: float) -> None:
        super().__init__()
        self.register_buffer("centres", centres)
        self.register_buffer("weights", weights)
        for name, value in (("gamma", gamma), ("mean", mean)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))

    @classmethod
    def fit(
        cls,
        features: NDArray[np.float32],
        targets: NDArray[np.float64],
        *,
        gamma: float,
        alpha: float,
        seed: int,
    ) -> KernelHead:
        """Learn targets, on at most 1,024 random rows as centres.

        Args:
            features: ``(n, d)``.
            targets: ``(n,)``.
            gamma: Inverse squared width of the kernel.
            alpha: Penalty.
            seed: Of the choice of centres.
        """
        fitted = KernelRidge(gamma, alpha, random_state=seed, solver="nystrom", n_components=CENTRES)
        fitted.fit(features, targets)
        centres = torch.from_numpy(np.asarray(fitted.X_fit_, dtype=np.float32))
        weights = torch.from_numpy(np.asarray(fitted.dual_coef_, dtype=np.float64))
        return cls(centres, weights, fitted.gamma_, float(fitted.y_mean_))

    @classmethod
    def restored(cls, state: Mapping[str, Tensor]) -> KernelHead | None:
        """That of a model's state, if there is one."""
        mine = {
            name.removeprefix("regression."): kept for name, kept in state.items() if name.startswith("regression.")
        }
        if not mine:
            return None
        head = cls(torch.empty_like(mine["centres"]), torch.empty_like(mine["weights"]), 0.0, 0.0)
        head.load_state_dict(mine)
        return head

    def forward(self, features: Tensor) -> Tensor:
        # Differences, not products: they keep what is left of a distance between neighbours. Their weights cancel, by
        # thousands to one, and with them all but the last digits of the sum: it needs double precision throughout.
        centres, mode = self.centres.double(), "donot_use_mm_for_euclid_dist"
        distances = torch.cdist(features.double(), centres, compute_mode=mode)
        near = torch.exp(-self.gamma.double() * distances.square())
        return (near @ self.weights).float() + self.mean
