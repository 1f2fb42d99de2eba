"""Features of several depths on one footing: in standard deviations of A, each depth of the same weight."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

BEYOND = 6.0
"""Standard deviations of A beyond which a feature says no more than "far away"."""

NORM = 50.0
"""Mean squared length of a depth's features over A. That of all together is then about that of the pooled output of a
pretrained network, for which the learning rates are made."""


class Standard(nn.Module):
    """``(n, d)`` features of several depths to as many, comparable ones; the same until it has seen some.

    Its numbers are those of the pretrained network on A, and stay: what training makes of the features may grow.
    """

    center: Tensor
    scale: Tensor
    limit: Tensor
    weight: Tensor

    def __init__(self, widths: Sequence[int]) -> None:
        """
        Args:
            widths: Number of features of each depth, d in all.
        """
        super().__init__()
        self._widths = tuple(widths)
        features = sum(widths)
        self.register_buffer("center", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("limit", torch.tensor(torch.inf))
        self.register_buffer("weight", torch.ones(features))

    def forward(self, features: Tensor) -> Tensor:
        standard = (features.float() - self.center) * self.scale
        return torch.clamp(standard, -self.limit, self.limit) * self.weight

    def fit(self, features: Tensor) -> None:
        """From now on give ``(n, d)`` such features zero mean, unit variance, and each depth the same weight."""
        self.center.copy_(features.mean(0))
        spread = features.std(0, correction=0)
        # A feature that is the same in all of A says nothing of quality there, and must not decide elsewhere.
        self.scale.copy_(torch.where(spread > 1e-6, 1 / spread, 0))
        self.limit.fill_(BEYOND)
        self.weight.copy_(torch.cat([torch.full((width,), (NORM / width) ** 0.5) for width in self._widths]))
