from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

import ssiqa
from ssiqa.bootstrap import Groups, correlation
from ssiqa.comparison import compare_scores
from ssiqa.data import LabelScale
from ssiqa.errors import DataError
from ssiqa.metrics import agreement

from .conftest import write_photo

SCORES = np.random.default_rng(0).uniform(-3, 5, 200)


def test_known_values() -> None:
    result = agreement([1, 2, 3, 4], [1, 3, 2, 4])
    assert (result.srcc, result.krcc, result.n) == (pytest.approx(0.8), pytest.approx(2 / 3), 4)
    assert result.plcc == pytest.approx(0.8)
    assert result.rmse == pytest.approx(math.sqrt(0.5))


def test_constant_scores_have_no_correlation() -> None:
    result = agreement(np.ones(5), np.arange(5))
    assert math.isnan(result.srcc)
    assert result.rmse == pytest.approx(math.sqrt(3))


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_numbers_that_are_none_are_named(wrong: float) -> None:
    """Otherwise one photo without a score makes a whole folder undefined, or a best rank of infinity."""
    with pytest.raises(DataError, match=r"The score at position 1 is (nan|inf); leave photos without a score out"):
        agreement([1.0, wrong, 3.0], [1.0, 2.0, 3.0])
    with pytest.raises(DataError, match="The label at position 2"):
        agreement([1.0, 2.0, 3.0], [1.0, 2.0, wrong])


def test_the_curve_of_constant_scores_is_flat() -> None:
    labels = np.arange(20.0)
    found = agreement(np.full(20, 500.0), labels, logistic=4)
    assert found.rmse == pytest.approx(labels.std())
    assert math.isnan(found.plcc)
    with pytest.raises(DataError, match="must be 4 or 5"):
        agreement(np.ones(20), labels, logistic=7)


@pytest.mark.parametrize(("scores", "labels"), [([1.0], [1.0]), ([1.0, 2.0], [1.0, 2.0, 3.0])])
def test_shapes_are_checked(scores: list[float], labels: list[float]) -> None:
    with pytest.raises(DataError):
        agreement(scores, labels)


def four(scores: np.ndarray) -> np.ndarray:
    return 12.0 + 70.0 * expit((scores - 0.4) / 0.3)


def five(scores: np.ndarray) -> np.ndarray:
    return 80.0 * (expit(6.0 * (scores - 1.0)) - 0.5) + 3.0 * scores + 50.0


@pytest.mark.parametrize(("parameters", "curve"), [(4, four), (5, five), (5, four)])
def test_a_logistic_straightens_what_it_bent(parameters: int, curve: Any) -> None:
    labels = curve(SCORES)
    assert agreement(SCORES, labels).plcc < 0.97
    found = agreement(1000 * SCORES + 7, labels, logistic=parameters)  # whatever the scale of the scores
    assert found.plcc == pytest.approx(1, abs=1e-6)
    assert found.rmse < 0.01
    assert found.srcc == agreement(SCORES, labels).srcc


def test_a_falling_curve_is_fitted_and_ranks_say_so() -> None:
    found = agreement(SCORES, 100 - four(SCORES), logistic=4)
    assert found.plcc == pytest.approx(1, abs=1e-6)
    assert found.srcc == -1


def test_a_curve_that_cannot_be_fitted_is_named() -> None:
    with pytest.raises(DataError, match="needs as many photos; there are 3"):
        agreement([1, 2, 3], [1, 2, 3], logistic=4)
    with pytest.raises(DataError, match="logistic is 3; it must be 4 or 5"):
        agreement(SCORES, SCORES, logistic=3)


@pytest.mark.parametrize("correlation", [-0.6, 0.3, 0.9])
@pytest.mark.parametrize("photos", [10, 200])
def test_a_curve_through_noise_is_no_worse_than_none(photos: int, correlation: float) -> None:
    """Where the relation is straight, the best curve is one without end; it must be found all the same."""
    rng = np.random.default_rng(photos)
    for draw in range(5):
        scores = np.exp(draw % 2 * 2 * rng.normal(size=photos)) + rng.normal(size=photos)
        labels = correlation * scores + np.sqrt(1 - correlation**2) * rng.normal(size=photos) * scores.std()
        raw = abs(agreement(scores, labels).plcc)
        for parameters in (4, 5):
            assert agreement(scores, labels, logistic=parameters).plcc > raw - 1e-3


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of correlated pairs, 95 of 100 intervals hold the correlation that made them."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(60):
        x = rng.normal(size=80)
        y = 0.6 * x + 0.8 * rng.normal(size=80)
        interval = Groups(np.arange(80)).interval(lambda rows, x=x, y=y: correlation(x[rows], y[rows]))
        assert interval.low < interval.value < interval.high
        held += interval.low < 0.6 < interval.high
    assert 51 <= held <= 60


def test_intervals_of_few_groups_are_wider() -> None:
    """The usual percentiles would hold the truth in 89 of 100."""
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(300):
        values = rng.normal(size=10)
        interval = Groups(np.arange(10)).interval(lambda rows, values=values: float(values[rows].mean()))
        held += interval.low <= 0 <= interval.high
    assert 0.915 < held / 300 < 0.97


BRIGHTNESS = np.random.default_rng(2).integers(20, 230, 60)
LABELS = BRIGHTNESS + 20 * np.random.default_rng(3).normal(size=60)
GROUPS = np.arange(60) % 12


def rate_by_brightness(folder: Path, column: str) -> None:
    """60 photos in 12 groups; the brighter, the better."""
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", column, "group"])
        for number, (value, label) in enumerate(zip(BRIGHTNESS, LABELS, strict=True)):
            write_photo(folder / f"{number:02}.png", np.full((8, 8, 3), value, np.uint8))
            table.writerow([f"{number:02}.png", label if column == "mos" else -label, GROUPS[number]])


class Known:
    """Scores that were written down, the higher the better."""

    scale = LabelScale.fit(LABELS, "mos")

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = scores.astype(np.float64)

    def score(self, photos: Any) -> np.ndarray:
        return np.array([self.scores[int(Path(photo).stem)] for photo in photos])


@pytest.mark.parametrize("column", ["mos", "dmos"])
def test_compare_knows_which_is_better_and_by_groups(tmp_path: Path, column: str) -> None:
    rate_by_brightness(tmp_path, column)
    offsets = np.random.default_rng(4).normal(size=12)[GROUPS]  # errors that photos of a group share
    worse: Any = Known(BRIGHTNESS + 60 * offsets)
    better: Any = Known(BRIGHTNESS)
    found = ssiqa.compare(worse, better, tmp_path)
    assert found.srcc.value == pytest.approx(found.second.srcc - found.first.srcc)
    assert found.srcc.value > 0
    assert found.second.srcc > 0.8
    by_group = compare_scores(worse.scores, better.scores, LABELS, GROUPS)
    assert (found.srcc, found.plcc) == (by_group.srcc, by_group.plcc)
    assert found.srcc != compare_scores(worse.scores, better.scores, LABELS).srcc


@pytest.mark.parametrize("column", ["mos", "dmos"])
def test_evaluate_gives_intervals_over_groups(tmp_path: Path, column: str) -> None:
    rate_by_brightness(tmp_path, column)
    scorer: Any = Known(BRIGHTNESS)
    found = ssiqa.evaluate(scorer, tmp_path)
    assert found.srcc == pytest.approx(stats.spearmanr(BRIGHTNESS, LABELS).statistic)
    assert found.plcc == pytest.approx(stats.pearsonr(BRIGHTNESS, LABELS).statistic)
    truth = LABELS if column == "mos" else -LABELS
    assert found.rmse == pytest.approx(np.sqrt(np.mean((BRIGHTNESS - truth) ** 2)))  # of the scores as they are
    assert found.intervals is not None
    for name, interval in found.intervals.items():
        assert interval.value == pytest.approx(getattr(found, name))
        assert interval.low < interval.value < interval.high
    over_groups = Groups(GROUPS).interval(lambda rows: correlation(BRIGHTNESS[rows], LABELS[rows]))
    assert found.intervals["plcc"].low == pytest.approx(over_groups.low)
    assert found.intervals["plcc"].high == pytest.approx(over_groups.high)
    assert f"SRCC {found.intervals['srcc']}" in str(found)
    assert ssiqa.evaluate(scorer, tmp_path, logistic=4).rmse < 25  # the curve knows the labels' direction
