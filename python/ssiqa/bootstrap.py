"""What resampling says of a figure: intervals over whole groups of photos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ssiqa.scaling import centred

CONFIDENCE = 0.95
RESAMPLES = 1000
MINIMUM_GROUPS = 10
"""With fewer, many resamples draw too few different photos to rank."""


@dataclass(frozen=True)
class Interval:
    """A figure with what resampling says of it.

    Attributes:
        value: Of all photos; NaN where it is undefined.
        low: Lower end of the 95 % bootstrap interval; NaN where there are fewer than ten groups, or where the figure is
            undefined for half of the resamples or more, such as correlations with few different labels.
        high: Its upper end.
    """

    value: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        if not np.isfinite(self.value):
            return "undefined"
        spec = spec or ".3f"
        ends = f"{self.low:{spec}}, {self.high:{spec}}" if np.isfinite(self.low) else "interval undefined"
        return f"{self.value:{spec}} [{ends}]"

    def __str__(self) -> str:
        return format(self)


class Groups:
    """Photos that are drawn together, because photos of a group are not independent.

    Args:
        groups: ``(n,)`` group of each photo.

    Attributes:
        count: Number of different groups.
    """

    def __init__(self, groups: ArrayLike) -> None:
        _, numbers = np.unique(groups, return_inverse=True)
        self._members = np.split(np.argsort(numbers, kind="stable"), np.cumsum(np.bincount(numbers))[:-1])
        self.count = len(self._members)

    def interval(self, figure: Callable[[NDArray[np.int64]], float]) -> Interval:
        """Of a figure, which is given rows of photos; every call draws the same groups.

        Its ends are percentiles farther out than 2.5 and 97.5, by as much as Student's interval of so many groups is
        wider than one that takes their variance for the true one: the usual percentiles hold less than they say of few
        groups (Hesterberg, "What teachers should know about the bootstrap", The American Statistician 69, 2015). That
        is derived for means: of fewer than about 30 groups, intervals of correlations hold more than they say.
        """

        def of(chosen: NDArray[np.int64]) -> float:
            return figure(np.concatenate([self._members[group] for group in chosen]))

        everything = of(np.arange(self.count))
        if self.count < MINIMUM_GROUPS:
            return Interval(everything, np.nan, np.nan)
        rng = np.random.default_rng(0)
        resampled = np.array([of(rng.integers(self.count, size=self.count)) for _ in range(RESAMPLES)])
        defined = resampled[np.isfinite(resampled)]
        low = high = np.nan
        if len(defined) > RESAMPLES / 2:
            outside = self._outside()
            low, high = np.quantile(defined, [outside, 1 - outside])
        return Interval(everything, float(low), float(high))

    def _outside(self) -> float:
        """Share of resamples below the interval, and of those above it."""
        n = self.count
        of_student = stats.t.ppf((1 - CONFIDENCE) / 2, n - 1)
        return float(stats.norm.cdf(np.sqrt(n / (n - 1)) * of_student))


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 1, ties shared."""
    ranked: NDArray[np.float64] = stats.rankdata(values)
    return ranked


def correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Pearson's, without the significance that SciPy's computes with it, which takes longer than all else here.

    NaN where one of them is constant.
    """
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    x, y = centred(x).values, centred(y).values
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1, 1))
