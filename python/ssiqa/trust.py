"""Where a regression fitted on A has something to say: the uncertainty of B's pseudo-labels beside that of unseen A."""

from __future__ import annotations

import logging
from dataclasses import dataclass

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
        usual: What is to be expected of that where B is like A: about 0.05, and more with a small hold-out.
        chance: Probability that a B like A has as many photos beyond it.
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


def coverage(stds: Tensor | None, holdout_stds: Tensor | None) -> Coverage | None:
    """Compare posterior standard deviations of B with those of photos of A that the regression was not fitted on.

    Returns:
        None where there is no regression.

    Example:
        >>> found = coverage(torch.tensor([0.1, 0.6]).double(), torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5]).double())
        >>> found.limit, found.uncovered, found.is_low
        (0.48, 0.5, False)
    """
    if stds is None or holdout_stds is None:
        return None
    limit = float(holdout_stds.quantile(COVERED))
    beyond, n = int((stds > limit).sum()), len(holdout_stds)
    inside = int((holdout_stds <= limit).sum())
    # How many of another sample lie beyond the so-manieth smallest of a first one is beta-binomial, whatever they are.
    chance = betabinom.sf(beyond - 1, len(stds), n + 1 - inside, inside)
    return Coverage(limit, beyond / len(stds), (n + 1 - inside) / (n + 1), float(chance))


def warned(found: Coverage | None, phase: int) -> Coverage | None:
    """The coverage of a phase's block; where it is low, that is said once in a run."""
    if phase == 1 and found is not None and found.is_low:
        logger.warning("%s", found)
    return found
