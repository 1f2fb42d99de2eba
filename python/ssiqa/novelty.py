"""How new a photo is to a scorer: what is left of a Gaussian process's uncertainty, given photos of A."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssiqa import kernels
from ssiqa.krr import KernelRidge

ROWS = 256
"""Photos of A that are kept for it: with 3,488 features each, 7 MB in the exported file."""


class Novelty(nn.Module):
    """Features to the relative standard deviation of a new opinion, noise included.

    That is ``sqrt(1 - k' (K + alpha I)^-1 k + alpha)`` in units of the function's own a priori: about
    ``sqrt(alpha)`` beside photos of A, ``sqrt(1 + alpha)`` far from all.
    """

    rows: Tensor
    inverse: Tensor

    def __init__(self, features: NDArray[np.float32], targets: NDArray[np.float64], seed: int) -> None:
        """
        Args:
            features: ``(m, d)`` of photos of A, no two of them near-duplicates; width and noise of the process are
                chosen on them by leave-one-out.
            targets: ``(m,)`` their truth.
            seed: Of that choice.
        """
        super().__init__()
        chosen = KernelRidge(random_state=seed).fit(features.astype(np.float64), targets)
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
    """One random row of each group, at most ``most`` of them, in order."""
    order = rng.permutation(len(groups))
    first = order[np.unique(groups[order], return_index=True)[1]]
    return np.sort(rng.permutation(first)[:most])
