"""Where a regression fitted on A has something to say: the uncertainty of B's pseudo-labels beside that of unseen A."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import betabinom
from torch import Tensor

logger = logging.getLogger("ssiqa")

COVERED = 0.95
"""Share of A's own hold-out that counts as covered."""

LOW = 0.2
"""Share of B beyond what counts as covered, four times that of A's hold-out, from which on it is said."""

CHANCE = 0.05
"""Probability of such a share, were B like A, from which on it is not: few photos differ by chance."""


@dataclass(frozen=True)
class Coverage:
    """How much of B lies where A has photos.

    Attributes:
        limit: Posterior standard deviation up to which a photo is covered: that of 95 % of A's hold-out.
        uncovered: Share (0..1) of photos of B beyond it.
        usual: What is to be expected of that where B is like A, at most: about 0.05, and more with few groups held out.
        chance: Probability that a B like A has as many photos beyond it, at most, where each of its photos is of a
            content of its own: B has no groups. A few contents in many versions each are beyond it together, or not.
    """

    limit: float
    uncovered: float
    usual: float
    chance: float

    @property
    def is_low(self) -> bool:
        return self.uncovered >= LOW and self.chance < CHANCE

    def __str__(self) -> str:
        return (
            f"{self.uncovered:.0%} of the unlabelled photos are unlike the labelled ones ({self.usual:.0%} would be "
            "usual): their pseudo-labels are extrapolated. Rate some of these photos to know how good the scores are "
            "on them."
        )


def coverage(stds: Tensor | None, holdout_stds: Tensor | None, groups: ArrayLike) -> Coverage | None:
    """Compare posterior standard deviations of B with those of photos of A that the regression was not fitted on.

    Args:
        stds: ``(m,)`` of B.
        holdout_stds: ``(n,)`` of the hold-out.
        groups: ``(n,)`` group of each photo of that. Those of one are alike, so that all together they count as one.

    Returns:
        None where there is no regression.

    Example:
        >>> import torch
        >>> stds = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5]).double()
        >>> found = coverage(torch.tensor([0.1, 0.6]).double(), stds, range(5))
        >>> round(found.limit, 2), found.uncovered, found.is_low
        (0.48, 0.5, False)
    """
    if stds is None or holdout_stds is None:
        return None
    limit = float(holdout_stds.quantile(COVERED))
    beyond, each = int((stds > limit).sum()), len(np.unique(groups)) / len(holdout_stds)
    inside = int((holdout_stds <= limit).sum())
    # How many of another sample lie beyond the k-th smallest of a first one is beta-binomial, whatever they are.
    like_a = betabinom(len(stds), 1 + each * (len(holdout_stds) - inside), each * inside)
    return Coverage(limit, beyond / len(stds), float(like_a.mean() / len(stds)), float(like_a.sf(beyond - 1)))


def warned(found: Coverage | None, phase: int) -> Coverage | None:
    """The coverage of a phase's block; where it is low, that is said once: blocks are random parts of B."""
    if phase == 1 and found is not None and found.is_low:
        logger.warning("%s", found)
    return found
