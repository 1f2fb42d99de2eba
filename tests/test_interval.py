"""Conformal intervals hold what they promise, for photos like those they were calibrated on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ssiqa.interval import calibrate, conformal_factor


@pytest.mark.parametrize("heavy_tails", [False, True])
def test_coverage_over_many_draws(heavy_tails: bool) -> None:
    """90 % on average over calibrations, whatever the errors are like."""
    rng = np.random.default_rng(0)
    draw = (lambda n: rng.standard_cauchy(n)) if heavy_tails else (lambda n: rng.normal(size=n))
    covered = []
    for _ in range(400):
        expected, new = rng.uniform(0.5, 2, 100), rng.uniform(0.5, 2, 50)
        factor = conformal_factor(np.abs(draw(100)) * expected, expected)
        covered.append(np.mean(np.abs(draw(50)) * new <= factor * new))
    assert np.mean(covered) == pytest.approx(0.9, abs=0.012)


def test_few_photos_give_no_interval() -> None:
    assert conformal_factor(np.ones(8), np.ones(8)) == math.inf
    assert conformal_factor(np.ones(9), np.ones(9)) == 1


def test_measured_on_groups_that_did_not_calibrate() -> None:
    """Errors that are alike in a group look better covered than they are when its photos are on both sides."""
    rng = np.random.default_rng(0)
    found, true = [], []
    for _ in range(200):
        errors = np.abs(np.repeat(rng.normal(size=6), 30))
        factor, interval = calibrate(errors, np.ones(180), np.repeat(np.arange(6), 30), rng)
        found.append(interval.coverage)
        true.append(math.erf(factor / math.sqrt(2)))
    assert np.mean(true) < 0.87  # and by photo it would be 0.9
    assert np.mean(found) == pytest.approx(np.mean(true), abs=0.04)


def test_groups_of_one_photo_are_photos() -> None:
    rng = np.random.default_rng(0)
    factor, interval = calibrate(np.abs(rng.normal(size=400)), np.ones(400), np.arange(400), rng)
    assert factor == pytest.approx(1.645, abs=0.2)
    assert interval.coverage == pytest.approx(0.9, abs=0.03)
    assert interval.width == pytest.approx(2 * factor)
    assert interval.groups == 400


@pytest.mark.parametrize("count", [9, 10])
def test_parts_too_small_to_calibrate_measure_nothing(count: int) -> None:
    factor, interval = calibrate(np.ones(count), np.ones(count), np.arange(count), np.random.default_rng(0))
    assert factor == 1
    assert math.isnan(interval.coverage)
    assert interval.to_dict()["coverage"] is None


def test_one_group_measures_nothing() -> None:
    _, interval = calibrate(np.ones(20), np.ones(20), np.zeros(20, dtype=np.int64), np.random.default_rng(0))
    assert math.isnan(interval.coverage)


def test_too_small_a_hold_out_is_null_in_json() -> None:
    factor, interval = calibrate(np.ones(4), np.ones(4), np.arange(4), np.random.default_rng(0))
    assert factor == math.inf
    assert interval.to_dict()["width"] is None
