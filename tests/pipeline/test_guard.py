"""A phase that costs too much on A's hold-out is damped, or undone."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import ssiqa
from ssiqa import Schedule, exemplars, holdout
from ssiqa.guard import Guard
from ssiqa.models import QualityModel, build_model

from .conftest import BACKBONE, student_weights


@pytest.fixture
def model(weights: Path) -> QualityModel:
    model = build_model(BACKBONE, weights)
    model.freeze_first_layers(1 / 3)
    return model


def shift(model: QualityModel) -> Guard:
    """A guard, and a phase that moved each weight by one."""
    guard = Guard(model)
    with torch.no_grad():
        for weights in model.trainable():
            weights.add_(1)
    return guard


@pytest.mark.parametrize(
    ("srcc_by_step", "kept"),
    [({1.0: 0.95}, 1.0), ({1.0: 0.8, 0.5: 0.92}, 0.5), ({1.0: 0.8, 0.5: 0.85, 0.25: 0.9}, 0.25)],
)
def test_the_largest_step_that_is_good_enough_stands(
    model: QualityModel, srcc_by_step: dict[float, float], kept: float
) -> None:
    before = [weights.clone() for weights in model.trainable()]
    guard = shift(model)

    def measure() -> float:
        (step,) = {round(float((new - old).mean()), 2) for new, old in zip(model.trainable(), before, strict=True)}
        return srcc_by_step[step]

    verdict = guard.settle(measure, floor=0.9)
    assert (verdict.step, verdict.srcc) == (kept, srcc_by_step[kept])
    assert verdict.refused == (None if kept == 1 else srcc_by_step[1.0])
    for new, old in zip(model.trainable(), before, strict=True):
        assert torch.allclose(new, old + kept, atol=1e-5)


@pytest.mark.parametrize("measured", [0.5, float("nan")])
def test_a_phase_that_never_is_good_enough_leaves_no_trace(model: QualityModel, measured: float) -> None:
    before = [weights.clone() for weights in model.trainable()]
    verdict = shift(model).settle(lambda: measured, floor=0.9)
    assert verdict.step == 0
    assert all(torch.equal(new, old) for new, old in zip(model.trainable(), before, strict=True))
    assert "undone" in str(verdict)


def test_scores_that_are_not_finite_are_refused_as_a_phase_and_not_as_input(model: QualityModel) -> None:
    material = SimpleNamespace()  # is not asked
    measured = holdout.srcc(torch.tensor([0.1, float("inf")]), material)
    assert shift(model).settle(lambda: measured, floor=-1).step == 0


def test_where_the_hold_out_says_nothing_the_phase_stands(model: QualityModel) -> None:
    assert shift(model).settle(lambda: float("nan"), floor=float("nan")).step == 1


def test_a_harmful_phase_does_not_stand(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Far too fast a student forgets A: that is damped or undone, and said."""
    wild = Schedule(epochs=2, lr=0.5, decay_every=2, batch_size=4)
    with caplog.at_level(logging.WARNING, "ssiqa"):
        adaptation = ssiqa.adapt(labeled, unlabeled, tmp_path / "run", **{**settings, "student": wild, "tolerance": 0})
    phases = adaptation.report["phases"][1:]
    assert any(phase["step"] < 1 for phase in phases)
    assert "hold-out worse" in caplog.text
    for phase in phases:
        assert phase["holdout_srcc"] >= adaptation.report["phases"][0]["holdout_srcc"]


def test_where_all_is_undone_the_student_is_the_teacher(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdout, "floor", lambda *_: math.inf)
    adaptation = ssiqa.adapt(labeled, unlabeled, tmp_path, **settings)
    assert not adaptation.report["adapted"]
    assert not adaptation.student.card["adapted"]
    first, last = student_weights(tmp_path, 0), student_weights(tmp_path, 2)
    assert all((first[name] == last[name]).all() for name in first)
    photos = sorted(unlabeled.glob("*.png"))
    assert np.array_equal(adaptation.student.score(photos), adaptation.teacher.score(photos))


@pytest.mark.parametrize("trained", [True, False])
def test_each_phase_is_measured_by_the_first_teacher(
    labeled: Path,
    unlabeled: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trained: bool,
) -> None:
    """Small losses of one phase after another do not add up unseen."""
    asked: list[int] = []
    real = holdout.floor
    monkeypatch.setattr(holdout, "floor", lambda record, config: (asked.append(record.phase), real(record, config))[1])
    ssiqa.adapt(labeled, unlabeled, tmp_path, **settings | ({} if trained else {"student": None}))
    assert asked == [0, 0]


def test_what_was_undone_is_not_learnt_again(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its labels are neither replayed in later blocks nor kept for an update."""
    real, floors = Guard.settle, [math.inf, -1.0]
    monkeypatch.setattr(Guard, "settle", lambda guard, measure, floor: real(guard, measure, floors.pop(0)))
    run = ssiqa.adapt(labeled, unlabeled, tmp_path / "run", **settings)
    first, second = run.report["phases"][1:]
    assert (first["step"], second["step"]) == (0, 1)
    assert len(second["exemplars"]) == 1  # of A
    kept = exemplars.load(tmp_path / "run" / exemplars.FOLDER)
    assert len(kept.photos) == len(run.report["data"]["unlabeled"]["blocks"]) == 2  # one for every four of six
