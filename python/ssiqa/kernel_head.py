"""Kernel ridge regression as the last layer of a network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ssiqa import ridge

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
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32, device=centres.device))

    @classmethod
    def fit(
        cls,
        features: Tensor,
        targets: Tensor,
        *,
        gamma: float,
        alpha: float,
        seed: int,
    ) -> KernelHead:
        """Learn targets, on at most 1,024 random rows as centres.

        Args:
            features: ``(n, d)`` float32.
            targets: ``(n,)`` float64, in the same memory.
            gamma: Inverse squared width of the kernel.
            alpha: Penalty.
            seed: Of the choice of centres.
        """
        fitted = ridge.fit(features, targets, gamma=gamma, alpha=alpha, seed=seed, most_centres=CENTRES)
        return cls(fitted.centres, fitted.weights, fitted.gamma, fitted.mean)

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
