"""Two scorers on the same labelled photos: how far apart, and how surely."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ssiqa.errors import DataError
from ssiqa.metrics import Evaluation, agreement, figure, score_folder

if TYPE_CHECKING:
    from ssiqa.data import LabeledFolder
    from ssiqa.scorer import Scorer

CONFIDENCE = 0.95
RESAMPLES = 1000
MINIMUM_GROUPS = 10
"""With fewer, many resamples draw too few different photos to rank."""


@dataclass(frozen=True)
class Interval:
    """A figure with what resampling says of it.

    Attributes:
        value: Of all photos; NaN, as the ends, where a scorer gives all photos one score.
        low: Lower end of the 95 % bootstrap interval (percentiles).
        high: Its upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if not np.isfinite([self.value, self.low, self.high]).all():
            return "undefined"  # a scorer gave all photos one score
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


@dataclass(frozen=True)
class Comparison:
    """Two scorers on one folder.

    Attributes:
        first: Agreement of the first with the labels.
        second: Agreement of the second.
        srcc: SRCC of the second less that of the first.
        plcc: PLCC of the second less that of the first.
    """

    first: Evaluation
    second: Evaluation
    srcc: Interval
    plcc: Interval

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{'':<8} {'SRCC':>8} {'PLCC':>8} {'KRCC':>8}"]
        for name, found in (("first", self.first), ("second", self.second)):
            lines.append(f"{name:<8} {figure(found.srcc):>8} {figure(found.plcc):>8} {figure(found.krcc):>8}")
        lines.append(f"second less first, with 95 % intervals: SRCC {self.srcc}, PLCC {self.plcc}")
        verdict = "the photos do not tell them apart"
        if not np.isfinite(self.srcc.low):
            verdict = "one of them gives all photos the same score"
        elif self.srcc.low > 0 or self.srcc.high < 0:
            verdict = f"the {'second' if self.srcc.low > 0 else 'first'} ranks the photos better"
        lines.append(f"{self.first.n} photos: {verdict}.")
        return "\n".join(lines)


def compare(first: Scorer, second: Scorer, labeled_dir: str | PathLike[str]) -> Comparison:
    """Score a labelled folder with both, and compare.

    Whole groups of ``labels.csv`` are resampled, because photos of a group are not independent; one sample serves both
    scorers, so that what makes photos hard for both does not widen the interval of the difference.

    Args:
        first: A scorer, for example the teacher.
        second: Another, for example the student.
        labeled_dir: A folder with photos and ``labels.csv``.

    Raises:
        DataError: The folder, its labels or one of its photos cannot be used, or there are fewer than 10 groups.

    Example:
        >>> print(ssiqa.compare(run.teacher, run.student, "rated/"))  # doctest: +SKIP
    """
    from ssiqa.data import read_labeled_folder

    folder = read_labeled_folder(labeled_dir)
    of_first, of_second = (_judged(scorer, folder) for scorer in (first, second))
    found = compare_scores(of_first.aligned, of_second.aligned, folder.labels, folder.groups)
    return replace(found, first=of_first.evaluation, second=of_second.evaluation)


def compare_scores(
    first: ArrayLike, second: ArrayLike, labels: ArrayLike, groups: ArrayLike | None = None
) -> Comparison:
    """As :func:`compare`, of scores that are there already.

    Args:
        first: ``(n,)`` scores.
        second: ``(n,)`` scores.
        labels: ``(n,)`` labels of the same direction.
        groups: ``(n,)`` group of each photo; by default each is one of its own.

    Raises:
        DataError: The lengths differ, or there are fewer than 10 groups.

    Example:
        >>> labels = np.arange(50.0)
        >>> compare_scores(-labels, labels, labels).srcc.value
        2.0
    """
    evaluations = agreement(first, labels), agreement(second, labels)
    columns = np.asarray([first, second, labels], dtype=np.float64)
    _, numbers = np.unique(np.arange(columns.shape[1]) if groups is None else groups, return_inverse=True)
    if numbers.shape != columns.shape[1:]:
        raise DataError(
            f"There are {columns.shape[1]} scores but groups of shape {numbers.shape}; give one group each."
        )
    if numbers.max() + 1 < MINIMUM_GROUPS:
        raise DataError(
            f"Comparing takes photos of at least {MINIMUM_GROUPS} groups, and these are of {numbers.max() + 1}: "
            "rate more of them."
        )
    members = np.split(np.argsort(numbers, kind="stable"), np.cumsum(np.bincount(numbers))[:-1])

    def interval(transform: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Interval:
        def difference(chosen: NDArray[np.int64]) -> float:
            first, second, truth = transform(columns[:, np.concatenate([members[group] for group in chosen])])
            return _correlation(second, truth) - _correlation(first, truth)

        if not np.ptp(columns, axis=1).all():
            return Interval(np.nan, np.nan, np.nan)
        every = np.arange(len(members))
        ends = stats.bootstrap(
            (every,),
            difference,
            vectorized=False,
            n_resamples=RESAMPLES,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=0,
        ).confidence_interval
        return Interval(difference(every), float(ends.low), float(ends.high))

    return Comparison(*evaluations, srcc=interval(_ranks), plcc=interval(lambda columns: columns))


def _ranks(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    ranks: NDArray[np.float64] = stats.rankdata(columns, axis=1)
    return ranks


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Pearson's, without the significance that SciPy's computes with it, which takes longer than all else here."""
    x, y = x - x.mean(), y - y.mean()
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


class _Judged(NamedTuple):
    """What :func:`ssiqa.evaluate` says, and the scores in the direction of the labels."""

    evaluation: Evaluation
    aligned: NDArray[np.float64]


def _judged(scorer: Scorer, folder: LabeledFolder) -> _Judged:
    scores = score_folder(scorer, folder)
    found = agreement(scores, folder.labels)
    if scorer.scale.sign == folder.scale.sign:
        return _Judged(found, scores)
    return _Judged(found.mirrored(), -scores)
