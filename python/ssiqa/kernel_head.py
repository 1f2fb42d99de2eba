"""Kernel ridge regression as the last layer of a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from torch import Tensor, nn

from ssiqa import ridge
from ssiqa.krr import some_rows

CENTRES = 1024
"""Photos that it consists of, at most: with 3,488 features each, 14 MB in a checkpoint, 28 MB in an exported file."""


class Remembered(NamedTuple):
    """Rows that are centres of an earlier regression.

    Attributes:
        rows: How many.
        photos: How many photos they are what is left of.
    """

    rows: int
    photos: int


NOTHING = Remembered(0, 0)


def centre_rows(count: int, remembered: Remembered, seed: int) -> NDArray[np.int64]:
    """At most 1,024 of so many rows, in order, the last of which are remembered.

    Those keep the share of centres that the photos would have which they are left of, were they there (Vitter, "Random
    sampling with a reservoir", 1985): so that each of many updates counts by its photos, and none fades because it was
    long ago.
    """
    random, others = check_random_state(seed), count - remembered.rows
    share = remembered.photos / max(1, others + remembered.photos)
    kept = min(remembered.rows, max(round(CENTRES * share), CENTRES - others))
    chosen = some_rows(others, CENTRES - kept, random), others + some_rows(remembered.rows, kept, random)
    return np.concatenate(chosen)


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
        remembered: Remembered = NOTHING,
    ) -> KernelHead:
        """Learn targets, on at most 1,024 random rows as centres.

        Args:
            features: ``(n, d)`` float32.
            targets: ``(n,)`` float64, in the same memory.
            gamma: Inverse squared width of the kernel.
            alpha: Penalty.
            seed: Of the choice of centres.
            remembered: The last of the rows.
        """
        rows = centre_rows(len(features), remembered, seed)
        centres, mean = features[torch.from_numpy(rows).to(features.device)], targets.mean()
        weights = ridge.weigh(centres, features, targets - mean, gamma=gamma, alpha=alpha)
        return cls(centres, weights, gamma, float(mean))

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
