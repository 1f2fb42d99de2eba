"""Where a regression fitted on A has something to say: the uncertainty of B's pseudo-labels beside that of unseen A."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from torch import Tensor

logger = logging.getLogger("ssiqa")

COVERED = 0.95
"""Share of A's own hold-out that counts as covered."""

LOW = 0.2
"""Share of B beyond what counts as covered, four times that of A's hold-out, from which on it is said."""


@dataclass(frozen=True)
class Coverage:
    """How much of B lies where A has photos.

    Attributes:
        limit: Posterior standard deviation up to which a photo is covered: that of 95 % of A's hold-out.
        uncovered: Share (0..1) of photos of B beyond it; about 0.05 where B is like A.
    """

    limit: float
    uncovered: float

    @property
    def is_low(self) -> bool:
        return self.uncovered >= LOW

    def __str__(self) -> str:
        return (
            f"{self.uncovered:.0%} of the unlabelled photos are unlike the labelled ones (5 % would be usual): their "
            "pseudo-labels are extrapolated. Rate some of these photos to know how good the scores are on them."
        )


def coverage(stds: Tensor | None, holdout_stds: Tensor | None) -> Coverage | None:
    """Compare posterior standard deviations of B with those of photos of A that the regression was not fitted on.

    Returns:
        None where there is no regression.

    Example:
        >>> coverage(torch.tensor([0.1, 0.6]).double(), torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5]).double())
        Coverage(limit=0.48, uncovered=0.5)
    """
    if stds is None or holdout_stds is None:
        return None
    limit = float(holdout_stds.quantile(COVERED))
    return Coverage(limit, float((stds > limit).double().mean()))


def warned(found: Coverage | None, phase: int) -> Coverage | None:
    """The coverage of a phase's block; where it is low, that is said once in a run."""
    if phase == 1 and found is not None and found.is_low:
        logger.warning("%s", found)
    return found
