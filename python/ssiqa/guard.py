"""What adapting to B may cost on A: a phase that costs more is damped, or undone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from ssiqa.models import QualityModel

STEPS = (1.0, 0.5, 0.25)
"""Shares of a phase's change that are tried, the largest first, before it is undone."""


class Verdict(NamedTuple):
    """What a phase was allowed to change.

    Attributes:
        step: Share (0..1) of its change of the weights that stays: 1 all, 0 none.
        srcc: On A's hold-out, with the weights that stay.
        refused: The same with all of the change, where not all stays.
    """

    step: float
    srcc: float
    refused: float | None = None

    def __str__(self) -> str:
        done = f"only {self.step:.0%} of its change stands" if self.step else "it was undone"
        with_all = "" if self.refused is None else f"{self.refused:.3f} with all of it, "
        found = f"SRCC {with_all}{self.srcc:.3f} with what stands"
        return f"{done}, because it made the scores of A's hold-out worse ({found})."


def stands(srcc: float, floor: float) -> bool:
    """Whether a phase that leaves this SRCC may stay; where that is undefined nothing can be said against it."""
    return srcc >= floor or math.isnan(floor)


class Guard:
    """The weights before a phase, to fall back on.

    Between two fine-tunings of one network, weights on the straight line between them are usable, and often no worse
    than either end (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).
    """

    def __init__(self, model: QualityModel) -> None:
        self._model = model
        self._before = self._weights()

    @torch.no_grad()
    def settle(self, measure: Callable[[], float], floor: float) -> Verdict:
        """Leave the model the largest step of the phase that stays above ``floor``.

        Args:
            measure: SRCC on A's hold-out of the model as it is.
            floor: The least that must be left of it.
        """
        after, refused = self._weights(), None
        for step in STEPS:
            for weights, old, new in zip(self._model.trainable(), self._before, after, strict=True):
                weights.copy_(torch.lerp(old, new, step))
            srcc = measure()
            if stands(srcc, floor):
                return Verdict(step, srcc, refused)
            refused = srcc if refused is None else refused
        for weights, old in zip(self._model.trainable(), self._before, strict=True):
            weights.copy_(old)
        return Verdict(0.0, measure(), refused)

    def _weights(self) -> list[torch.Tensor]:
        return [weights.detach().clone() for weights in self._model.trainable()]
