"""How well scores agree with opinions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ssiqa.bootstrap import MINIMUM_GROUPS, Groups, Interval, correlation, ranks
from ssiqa.errors import DataError
from ssiqa.logistic import fit_logistic
from ssiqa.progress import Task

if TYPE_CHECKING:
    from ssiqa.data import LabeledFolder
    from ssiqa.scorer import Scorer


@dataclass(frozen=True)
class Evaluation:
    """Agreement of scores with labels.

    Attributes:
        plcc: Pearson's linear correlation coefficient, -1..1.
        srcc: Spearman's rank-order correlation coefficient, -1..1.
        krcc: Kendall's rank-order correlation coefficient (tau-b), -1..1.
        rmse: Root mean squared error in units of the labels.
        n: Number of photos.
        intervals: Of these figures, by name, where they were resampled.
    """

    plcc: float
    srcc: float
    krcc: float
    rmse: float
    n: int
    intervals: dict[str, Interval] | None = None

    def to_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        correlations = (f"{name.upper()} {self._shown(name)}" for name in ("srcc", "plcc", "krcc"))
        rmse = f"{self.rmse:.4g}" if self.intervals is None else f"{self.intervals['rmse']:.4g}"
        return f"{'  '.join(correlations)}  RMSE {rmse}  ({self.n} photos)"

    def _shown(self, name: str) -> str:
        return figure(getattr(self, name)) if self.intervals is None else str(self.intervals[name])


def figure(value: float | np.floating[Any] | None, spec: str = ".3f") -> str:
    """A correlation as people read it; not-a-number, or JSON's null for it, is "undefined"."""
    return "undefined" if value is None or np.isnan(value) else f"{value:{spec}}"


def agreement(scores: ArrayLike, labels: ArrayLike, logistic: int | None = None) -> Evaluation:
    """Compare ``(n,)`` scores with ``(n,)`` labels of the same direction.

    A correlation with constant scores is undefined and reported as NaN.

    Args:
        scores: Any scale.
        labels: Any scale.
        logistic: Number of parameters of the curve that maps scores to labels before PLCC and RMSE, 4 or 5; by default
            there is none.

    Raises:
        DataError: The lengths differ, a number is not finite, or there are fewer photos than the curve has parameters.

    Example:
        >>> agreement([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]).srcc
        1.0
    """
    return _measured(scores, labels, logistic).evaluation()


def evaluate(scorer: Scorer, labeled_dir: str | PathLike[str], *, logistic: int | None = None) -> Evaluation:
    """Score a labelled folder and compare with its labels, with 95 % bootstrap intervals over groups of ``labels.csv``.

    If the scorer was trained on DMOS and the folder holds MOS, or the other way round, the correlations are those of
    the scores turned round; the RMSE is that of the scores as they are, unless a curve is fitted. With fewer than 10
    groups there are no intervals.

    Args:
        scorer: What :func:`ssiqa.load` returns.
        labeled_dir: A folder with photos and ``labels.csv``, as for :func:`ssiqa.adapt`.
        logistic: As for :func:`agreement`; intervals are those of the one curve that fits all photos.

    Raises:
        DataError: The folder, its labels or one of its photos cannot be used, or it has fewer photos than the curve has
            parameters.
    """
    from ssiqa.data import read_labeled_folder

    folder = read_labeled_folder(labeled_dir)
    return judge(scorer, folder, logistic).with_intervals(Groups(folder.groups))


def judge(scorer: Scorer, folder: LabeledFolder, logistic: int | None = None) -> Measured:
    """Score a folder; scores are turned round where the scorer's scale and the labels' run against each other."""
    scores = score_folder(scorer, folder)
    if scorer.scale.sign == folder.scale.sign:
        return _measured(scores, folder.labels, logistic)
    found = _measured(-scores, folder.labels, logistic)
    return found if logistic else found._replace(for_rmse=scores)


def score_folder(scorer: Scorer, folder: LabeledFolder) -> NDArray[np.float64]:
    """``(n,)`` scores of a folder's photos, with progress."""
    photos = [folder.root / image for image in folder.images]
    with Task("Scoring", len(photos)) as task:
        return scorer.score(task.each(photos))


class Measured(NamedTuple):
    """What agrees or does not, ``(n,)`` each.

    Attributes:
        aligned: Scores in the direction of the labels.
        fitted: The same, or as a curve maps them to the labels.
        for_rmse: Those whose distance from the labels counts.
        labels: The truth.
    """

    aligned: NDArray[np.float64]
    fitted: NDArray[np.float64]
    for_rmse: NDArray[np.float64]
    labels: NDArray[np.float64]

    def evaluation(self) -> Evaluation:
        every = np.arange(len(self.labels))
        plcc, srcc, krcc, rmse = (of(every) for of in self._figures().values())
        return Evaluation(plcc, srcc, krcc, rmse, len(every))

    def with_intervals(self, groups: Groups) -> Evaluation:
        if groups.count < MINIMUM_GROUPS:
            return self.evaluation()
        intervals = {name: groups.interval(of) for name, of in self._figures().items()}
        return replace(self.evaluation(), intervals=intervals)

    def _figures(self) -> dict[str, Callable[[NDArray[np.int64]], float]]:
        aligned, fitted, for_rmse, labels = self
        return {
            "plcc": lambda rows: correlation(fitted[rows], labels[rows]),
            "srcc": lambda rows: correlation(ranks(aligned[rows]), ranks(labels[rows])),
            "krcc": lambda rows: float(stats.kendalltau(aligned[rows], labels[rows]).statistic),
            "rmse": lambda rows: _root_mean_square(for_rmse[rows] - labels[rows]),
        }


def _root_mean_square(values: NDArray[np.float64]) -> float:
    largest = float(np.abs(values).max())  # whose square may be too large, or too small, for a number
    return largest * float(np.sqrt(np.mean((values / largest) ** 2))) if largest > 0 else 0.0


def _measured(scores: ArrayLike, labels: ArrayLike, logistic: int | None) -> Measured:
    predicted, truth = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if predicted.shape != truth.shape or predicted.ndim != 1 or len(truth) < 2:
        raise DataError(
            f"Scores {predicted.shape} and labels {truth.shape} must be two vectors of one length, 2 or more."
        )
    for name, values in (("score", predicted), ("label", truth)):
        if not np.isfinite(values).all():
            worst = int(np.argmin(np.isfinite(values)))
            raise DataError(f"The {name} at position {worst} is {values[worst]}; leave photos without a {name} out.")
    fitted = predicted if logistic is None else fit_logistic(predicted, truth, logistic)
    return Measured(predicted, fitted, fitted, truth)
