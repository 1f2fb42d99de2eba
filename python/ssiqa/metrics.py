"""How well scores agree with opinions."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ssiqa.errors import DataError
from ssiqa.progress import Task

if TYPE_CHECKING:
    from ssiqa.data import LabeledFolder
    from ssiqa.scorer import Scorer


@dataclass(frozen=True)
class Evaluation:
    """Agreement of scores with labels.

    Attributes:
        plcc: Pearson's linear correlation coefficient, -1..1, without a logistic fit.
        srcc: Spearman's rank-order correlation coefficient, -1..1.
        krcc: Kendall's rank-order correlation coefficient (tau-b), -1..1.
        rmse: Root mean squared error in units of the labels.
        n: Number of photos.
    """

    plcc: float
    srcc: float
    krcc: float
    rmse: float
    n: int

    def mirrored(self) -> Evaluation:
        """Of the scores turned round; the RMSE stays that of the scores as they are."""
        return Evaluation(-self.plcc, -self.srcc, -self.krcc, self.rmse, self.n)

    def to_dict(self) -> dict[str, float | int]:
        return asdict(self)

    def __str__(self) -> str:
        correlations = f"SRCC {figure(self.srcc)}  PLCC {figure(self.plcc)}  KRCC {figure(self.krcc)}"
        return f"{correlations}  RMSE {self.rmse:.4g}  ({self.n} photos)"


def figure(value: float | None) -> str:
    """A correlation as people read it; not-a-number, or JSON's null for it, is "undefined"."""
    return "undefined" if value is None or np.isnan(value) else f"{value:.3f}"


def agreement(scores: ArrayLike, labels: ArrayLike) -> Evaluation:
    """Compare ``(n,)`` scores with ``(n,)`` labels of the same direction.

    A correlation with constant scores is undefined and reported as NaN.

    Example:
        >>> agreement([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]).srcc
        1.0
    """
    predicted, truth = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if predicted.shape != truth.shape or predicted.ndim != 1 or len(truth) < 2:
        raise DataError(
            f"Scores {predicted.shape} and labels {truth.shape} must be two vectors of one length, 2 or more."
        )
    rmse = float(np.sqrt(np.mean((predicted - truth) ** 2)))
    if np.ptp(predicted) == 0 or np.ptp(truth) == 0:
        return Evaluation(np.nan, np.nan, np.nan, rmse, len(truth))
    return Evaluation(
        plcc=float(stats.pearsonr(predicted, truth).statistic),
        srcc=float(stats.spearmanr(predicted, truth).statistic),
        krcc=float(stats.kendalltau(predicted, truth).statistic),
        rmse=rmse,
        n=len(truth),
    )


def evaluate(scorer: Scorer, labeled_dir: str | PathLike[str]) -> Evaluation:
    """Score a labelled folder and compare with its labels.

    If the scorer was trained on DMOS and the folder holds MOS, or the other way round, the correlations are those of
    the scores turned round; the RMSE is always that of the scores as they are.

    Args:
        scorer: What :func:`ssiqa.load` returns.
        labeled_dir: A folder with photos and ``labels.csv``, as for :func:`ssiqa.adapt`.

    Raises:
        DataError: The folder, its labels or one of its photos cannot be used.
    """
    from ssiqa.data import read_labeled_folder

    folder = read_labeled_folder(labeled_dir)
    result = agreement(score_folder(scorer, folder), folder.labels)
    return result if scorer.scale.sign == folder.scale.sign else result.mirrored()


def score_folder(scorer: Scorer, folder: LabeledFolder) -> NDArray[np.float64]:
    """``(n,)`` scores of a folder's photos, with progress."""
    photos = [folder.root / image for image in folder.images]
    with Task("Scoring", len(photos)) as task:
        return scorer.score(task.each(photos))
