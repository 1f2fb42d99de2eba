"""Conformal intervals: how far opinions on A's hold-out lie from their scores, in units of what was to be expected."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.9
FOLDS = 5


@dataclass(frozen=True)
class Calibration:
    """What an exported scorer's intervals are, and what they were worth on A's hold-out.

    Attributes:
        level: Share of opinions that they are made to hold, for photos like A's.
        coverage: Share that they held in the hold-out when calibrated on four fifths of its groups and measured on the
            last, over all five; not-a-number with fewer than two groups, or photos too few for such a part to say
            anything.
        width: Median distance from low to high, on the labels' scale; infinite where the hold-out is too small.
        groups: How many groups the hold-out has. Photos of one err alike, but count one by one: the fewer groups, the
            fewer opinions on photos of other contents are held than the level says.
    """

    level: float
    coverage: float
    width: float
    groups: int

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values; what is not finite becomes null."""
        return {name: value if math.isfinite(value) else None for name, value in asdict(self).items()}


def conformal_factor(errors: NDArray[np.float64], expected: NDArray[np.float64], level: float = LEVEL) -> float:
    """The factor by which expected errors must be multiplied so that a new one, of the same kind, is covered.

    It is the ``ceil((n + 1) level)``-th smallest of ``n`` ratios, and infinite where there are too few; the probability
    that a further photo is covered is then at least ``level`` (Vovk et al., "Algorithmic Learning in a Random World",
    2005; with ratios: Papadopoulos et al., "Normalized nonconformity measures", 2008).

    Args:
        errors: ``(n,)`` absolute differences of score and opinion.
        expected: ``(n,)`` positive, in any unit.
        level: Between 0 and 1.

    Example:
        >>> conformal_factor(np.arange(1.0, 20.0), np.ones(19))
        18.0
    """
    ratios = np.sort(errors / expected)
    place = math.ceil((len(ratios) + 1) * level)
    return float(ratios[place - 1]) if place <= len(ratios) else math.inf


def calibrate(
    errors: NDArray[np.float64], expected: NDArray[np.float64], groups: NDArray[np.int64], rng: np.random.Generator
) -> tuple[float, Calibration]:
    """The factor from the whole hold-out, and the coverage that such a factor has on groups it was not made from."""
    factor = conformal_factor(errors, expected)
    numbers = np.unique(groups, return_inverse=True)[1]
    count = int(numbers.max()) + 1
    folds = rng.permutation(count)[numbers] % FOLDS
    held = []
    for fold in range(min(FOLDS, count)):
        inside, others = folds == fold, folds != fold
        of_others = conformal_factor(errors[others], expected[others])
        held.append(np.where(of_others < math.inf, errors[inside] <= of_others * expected[inside], math.nan))
    coverage = float(np.concatenate(held).mean()) if count > 1 else math.nan
    return factor, Calibration(LEVEL, coverage, float(2 * np.median(factor * expected)), count)
