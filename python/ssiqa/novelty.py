"""How new a photo is to a scorer: what is left of a Gaussian process's uncertainty, given photos of A."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssiqa import kernels
from ssiqa.krr import FEW_GROUPS, KernelRidge, first_of_groups

ROWS = 256
"""Photos of A that are kept for it: with 3,488 features each, 7 MB in the exported file."""


class Novelty(nn.Module):
    """Features to the relative standard deviation of a new opinion, noise included.

    That is ``sqrt(1 - k' (K + alpha I)^-1 k + alpha)`` in units of the function's own a priori: about
    ``sqrt(alpha)`` beside photos of A, ``sqrt(1 + alpha)`` far from all.
    """

    rows: Tensor
    inverse: Tensor

    def __init__(
        self, features: NDArray[np.float32], targets: NDArray[np.float64], groups: NDArray[np.int64], seed: int
    ) -> None:
        """
        Args:
            features: ``(m, d)`` of photos of A; width and noise of the process are chosen on them.
            targets: ``(m,)`` their truth.
            groups: ``(m,)`` those that are near-duplicates share one; where groups are few, what is chosen predicts
                whole groups from the others.
            seed: Of that choice.
        """
        super().__init__()
        several = len(np.unique(groups)) > 1
        chosen = KernelRidge(random_state=seed).fit(features.astype(np.float64), targets, groups if several else None)
        self._gamma, self._alpha = chosen.gamma_, chosen.alpha_
        kernel = kernels.rbf_kernel(features.astype(np.float64), gamma=self._gamma)
        inverse = np.linalg.inv(kernel + self._alpha * np.eye(len(kernel)))
        self.register_buffer("rows", torch.from_numpy(features))
        self.register_buffer("inverse", torch.from_numpy(inverse))

    def forward(self, features: Tensor) -> Tensor:
        """``(n, d)`` features to ``(n,)`` relative standard deviations."""
        # In double: what cancels in the sum is large beside what is left of it.
        rows, mode = self.rows.double(), "donot_use_mm_for_euclid_dist"
        near = torch.exp(-self._gamma * torch.cdist(features.double(), rows, compute_mode=mode).square())
        known = ((near @ self.inverse) * near).sum(1)
        return (1 - known).clamp(min=0).add(self._alpha).sqrt()


def some_rows(groups: NDArray[np.int64], most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """At most ``most`` random rows, in order: one of each group, or where groups are few as many as there is room."""
    numbers = np.unique(groups, return_inverse=True)[1]
    count = int(numbers.max()) + 1
    each = 1 if count >= FEW_GROUPS else max(1, most // count)
    first = first_of_groups(numbers, rng.permutation(len(groups)), each)
    return np.sort(rng.permutation(first)[:most])
