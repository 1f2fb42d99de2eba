"""Two scorers on the same labelled photos: how far apart, and how surely."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssiqa.bootstrap import MINIMUM_GROUPS, Groups, Interval, correlation, ranks
from ssiqa.errors import DataError
from ssiqa.metrics import Evaluation, agreement, figure, judge

if TYPE_CHECKING:
    from ssiqa.scorer import Scorer


@dataclass(frozen=True)
class Comparison:
    """Two scorers on one folder.

    Attributes:
        first: Agreement of the first with the labels.
        second: Agreement of the second.
        srcc: SRCC of the second less that of the first.
        plcc: PLCC of the second less that of the first.
        groups: Of how many the photos are; intervals are NaN of fewer than ten.
    """

    first: Evaluation
    second: Evaluation
    srcc: Interval
    plcc: Interval
    groups: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"first": self.first.to_dict(), "second": self.second.to_dict()}

    def __str__(self) -> str:
        lines = [f"{'':<8} {'SRCC':>8} {'PLCC':>8} {'KRCC':>8} {'RMSE':>8}"]
        for name, found in (("first", self.first), ("second", self.second)):
            correlations = (f"{figure(value):>8}" for value in (found.srcc, found.plcc, found.krcc))
            lines.append(f"{name:<8} {' '.join(correlations)} {found.rmse:>8.4g}")
        lines.append(f"second less first, with 95 % intervals: SRCC {self.srcc:+.3f}, PLCC {self.plcc:+.3f}")
        lines.append(f"{self.first.n} photos of {self.groups} groups: {self._verdict()}.")
        return "\n".join(lines)

    def _verdict(self) -> str:
        if not np.isfinite(self.srcc.value):
            return "one of them gives all photos the same score, or all have the same label"
        if self.groups < MINIMUM_GROUPS:
            return f"too few to say which is better, which takes at least {MINIMUM_GROUPS}"
        ranking, linear = _better(self.srcc), _better(self.plcc)
        if ranking is None and linear is None:
            return "the photos do not tell them apart, neither in ranking (SRCC) nor in linear agreement (PLCC)"
        return f"{_said('ranking (SRCC)', ranking)}, {_said('linear agreement (PLCC)', linear)}"


def _better(difference: Interval) -> str | None:
    """Which of them, where chance does not explain the difference."""
    return "second" if difference.low > 0 else "first" if difference.high < 0 else None


def _said(measure: str, better: str | None) -> str:
    return f"in {measure} " + (f"the {better} is better" if better else "the photos do not tell them apart")


def compare(first: Scorer, second: Scorer, labeled_dir: str | PathLike[str]) -> Comparison:
    """Score a labelled folder with both, and compare.

    Whole groups of ``labels.csv`` are resampled, because photos of a group are not independent; one sample serves both
    scorers, so that what makes photos hard for both does not widen the interval of the difference.

    Args:
        first: A scorer, for example the teacher.
        second: Another, for example the student.
        labeled_dir: A folder with photos and ``labels.csv``.

    Raises:
        DataError: The folder, its labels or one of its photos cannot be used.

    Example:
        >>> print(ssiqa.compare(run.teacher, run.student, "rated/"))  # doctest: +SKIP
    """
    from ssiqa.data import read_labeled_folder

    folder = read_labeled_folder(labeled_dir)
    of_first, of_second = (judge(scorer, folder) for scorer in (first, second))
    found = compare_scores(of_first.aligned, of_second.aligned, folder.labels, folder.groups)
    return replace(found, first=of_first.evaluation(), second=of_second.evaluation())


def compare_scores(
    first: ArrayLike, second: ArrayLike, labels: ArrayLike, groups: ArrayLike | None = None
) -> Comparison:
    """As :func:`compare`, of scores that are there already.

    Args:
        first: ``(n,)`` scores.
        second: ``(n,)`` scores.
        labels: ``(n,)`` labels of the same direction.
        groups: ``(n,)`` group of each photo, a name or a number; by default each is one of its own.

    Raises:
        DataError: The lengths differ, or a photo has no group.

    Example:
        >>> labels = np.arange(50.0)
        >>> compare_scores(-labels, labels, labels).srcc.value
        2.0
    """
    evaluations = agreement(first, labels), agreement(second, labels)
    columns = np.asarray([first, second, labels], dtype=np.float64)
    given = np.arange(columns.shape[1]) if groups is None else np.asarray(groups)
    if given.shape != columns.shape[1:]:
        raise DataError(f"There are {columns.shape[1]} scores but groups of shape {given.shape}; give one group each.")
    each = np.asarray(given if groups is None else groups, dtype=object)  # among names NaN would be one
    if (without := sum(group is None or group != group for group in each)) > 0:
        raise DataError(f"Of {without} photos the group is NaN or None; give each of them one of its own.")
    photos = Groups(given)

    def plcc(rows: NDArray[np.int64]) -> float:
        before, after, truth = columns[:, rows]
        return correlation(after, truth) - correlation(before, truth)

    def srcc(rows: NDArray[np.int64]) -> float:
        before, after, truth = (ranks(column) for column in columns[:, rows])
        return correlation(after, truth) - correlation(before, truth)

    return Comparison(*evaluations, photos.interval(srcc), photos.interval(plcc), photos.count)
