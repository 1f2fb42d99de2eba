"""The default: a network that stays, and a student that is a regression on A's truth and B's labels."""

from __future__ import annotations

import csv
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

import ssiqa
from ssiqa import exemplars, gpu_nystrom, refit, ridge
from ssiqa.data import holdout_split, read_labeled_folder
from ssiqa.gpu_ridge import GpuRidge
from ssiqa.kernel_head import CENTRES, KernelHead, Remembered, centre_rows
from ssiqa.krr import KernelRidge
from ssiqa.models import build_model
from ssiqa.network import Network

from .conftest import assert_same_student, student_weights, texture, write_photo


@pytest.fixture(scope="module")
def regressed(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "student": None}


@pytest.fixture(scope="module")
def run(
    labeled: Path, unlabeled: Path, regressed: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> ssiqa.Adaptation:
    return ssiqa.adapt(labeled, unlabeled, tmp_path_factory.mktemp("refit") / "run", **regressed)


def rows(run: ssiqa.Adaptation) -> list[dict[str, str]]:
    with (run.output_dir / "pseudo_labels.csv").open() as file:
        return list(csv.DictReader(file))


def interrupt(
    step: str, stand_in: Callable[..., Any], labeled: Path, unlabeled: Path, folder: Path, settings: dict[str, Any]
) -> None:
    """A run that was stopped in a step, for which another function stands in."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(f"ssiqa.adaptation.{step}", stand_in)
        with pytest.raises(KeyboardInterrupt):
            ssiqa.adapt(labeled, unlabeled, folder, **settings)


def test_the_network_stays_and_the_student_differs(run: ssiqa.Adaptation, unlabeled: Path) -> None:
    states = [student_weights(run.output_dir, phase) for phase in range(3)]
    for name in states[0]:
        if not name.startswith("regression."):
            assert np.array_equal(states[0][name], states[2][name]), name
    assert not np.array_equal(states[0]["regression.weights"], states[2]["regression.weights"])
    photos = sorted(unlabeled.glob("*.png"))
    assert not np.array_equal(run.teacher.score(photos), run.student.score(photos))
    assert [phase["losses"] == [] for phase in run.report["phases"]] == [False, True, True]


def test_scores_are_what_was_learnt(
    labeled: Path, unlabeled: Path, regressed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a penalty to speak of: the truth of A, and the labels of both blocks, whatever the network says."""
    monkeypatch.setattr(refit, "mean_noise", lambda alpha, *_: alpha)
    exact = {"gamma": 1.0, "alpha": 1e-6, "teacher_share": 0.5, "tolerance": 2, "weak_crops": 0, "grid": 0}
    run = ssiqa.adapt(labeled, unlabeled, tmp_path, **regressed | exact)
    folder, kept = read_labeled_folder(labeled), rows(run)
    train, _ = holdout_split(folder.groups, 0.2, seed=0)
    learnt = [(labeled / folder.images[index], folder.labels[index]) for index in train]
    photos, truth = zip(*learnt, strict=True)
    assert run.teacher.score(photos) == pytest.approx(truth, abs=1e-3 * np.std(truth))
    learnt += [(unlabeled / row["image"], float(row["pseudo_label"])) for row in kept]
    photos, truth = zip(*learnt, strict=True)
    assert run.student.score(photos) == pytest.approx(truth, abs=1e-3 * np.std(truth))
    own = np.array([float(row["teacher_score"]) for row in kept])
    assert np.ptp(own) > 0.1 * np.std(truth)


def test_width_and_penalty_are_chosen_once(run: ssiqa.Adaptation) -> None:
    """In phase 0; a student's penalty is at least that."""
    first, *later = run.report["phases"]
    assert first["gamma"] > 0
    assert first["loo_rmse"] > 0
    for phase in later:
        assert (phase["gamma"], phase["loo_rmse"]) == (first["gamma"], first["loo_rmse"])
        assert phase["alpha"] >= first["alpha"]


def test_the_penalty_is_the_mean_noise_of_what_is_learnt() -> None:
    """Labels count by how many they are: five of which A knows nothing do not blur what it is known by."""
    unknown = np.full(1500, 2.0)
    assert refit.mean_noise(0.01, 500, unknown, 2.0) == pytest.approx((500 * 0.01 + 1500) / 2000)
    assert refit.mean_noise(0.01, 500, unknown[:5], 2.0) < 0.02
    assert refit.mean_noise(0.01, 500, np.zeros(1500), 2.0) == pytest.approx(0.01)
    assert refit.mean_noise(0.01, 500, np.zeros(1500), 0.0) == pytest.approx(0.01)


def test_the_less_a_knows_of_b_the_larger_the_penalty(run: ssiqa.Adaptation) -> None:
    first, *later = run.report["phases"]
    assert later[0]["alpha"] > first["alpha"]
    assert later[1]["alpha"] > later[0]["alpha"]


def test_the_student_of_one_block_is_the_teacher_of_the_next(
    run: ssiqa.Adaptation,
    labeled: Path,
    unlabeled: Path,
    regressed: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Other labels of the first block make other scores of the second, as teacher."""
    real = refit._labels
    blocks: list[int] = []

    def other(learner: Any, new: Any, stds: Any) -> Any:
        blocks.append(len(new.scores))
        labels = real(learner, new, stds)
        return labels + torch.linspace(0, 0.5, len(labels)) if len(blocks) == 1 else labels

    monkeypatch.setattr(refit, "_labels", other)
    changed = ssiqa.adapt(labeled, unlabeled, tmp_path, **{**regressed, "tolerance": 2})
    for before, after in zip(rows(run), rows(changed), strict=True):
        assert before["image"] == after["image"]
        assert (before["teacher_score"] == after["teacher_score"]) == (before["block"] == "1")


def test_same_seed_same_student_also_after_an_interruption(
    run: ssiqa.Adaptation,
    labeled: Path,
    unlabeled: Path,
    regressed: dict[str, Any],
    tmp_path: Path,
) -> None:
    real = refit.refit

    def interrupted(learner: Any, material: Any, block: int, *rest: Any) -> Any:
        if block == 1:
            raise KeyboardInterrupt
        return real(learner, material, block, *rest)

    interrupt("refit", interrupted, labeled, unlabeled, tmp_path, regressed)
    ssiqa.adapt(labeled, unlabeled, tmp_path, **regressed)
    assert_same_student(run.output_dir, tmp_path)


def test_a_student_that_costs_a_too_much_is_undone(
    labeled: Path,
    unlabeled: Path,
    regressed: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Labels of B that are mirrored spoil the regression on A: then the student is the teacher, and that is said."""
    monkeypatch.setattr(refit, "_labels", lambda learner, new, stds: -5 * new.scores)
    with caplog.at_level(logging.WARNING, "ssiqa"):
        spoilt = ssiqa.adapt(labeled, unlabeled, tmp_path, **{**regressed, "blocks": 1, "tolerance": 1e-6})
    assert not spoilt.report["adapted"]
    assert not spoilt.student.card["adapted"]
    phase = spoilt.report["phases"][1]
    assert phase["step"] == 0
    assert phase["refused_srcc"] < phase["holdout_srcc"]
    assert "it was undone" in caplog.text
    assert f"SRCC {phase['refused_srcc']:.3f} with all of it" in caplog.text
    assert exemplars.load(tmp_path / exemplars.FOLDER).photos == []
    photo = unlabeled / "05.png"
    assert spoilt.student.score(photo) == spoilt.teacher.score(photo)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_an_update_begins_with_the_student_and_keeps_what_it_learnt(
    run: ssiqa.Adaptation,
    regressed: dict[str, Any],
    tmp_path: Path,
    unlabeled: Path,
    monkeypatch: pytest.MonkeyPatch,
    elsewhere: bool,
) -> None:
    """Also on a machine that sees the photos of the run before a little differently."""
    if elsewhere:
        stem = Network.stem
        monkeypatch.setattr(
            Network, "stem", lambda network, crops: tuple(part.bfloat16().float() for part in stem(network, crops))
        )
    options = {"weights": regressed["weights"]}
    for number in range(6):
        write_photo(tmp_path / f"new/{number}.png", texture(200 + number, number * 0.5, size=(180, 220)))
    updated = ssiqa.update(run.output_dir, tmp_path / "new", tmp_path / "run", **options)
    photos = sorted(unlabeled.glob("*.png"))
    assert np.array_equal(updated.teacher.score(photos), run.student.score(photos))
    assert not np.array_equal(updated.student.score(photos), run.student.score(photos))
    after, before = student_weights(updated.output_dir, 1), student_weights(run.output_dir, 2)
    # The new photos beside those of A and of the run before, none of them twice.
    assert len(after["regression.centres"]) == len(before["regression.centres"]) + 6
    # What was said of the photos before still stands, nearly.
    forgotten = np.abs(updated.student.score(photos) - updated.teacher.score(photos)).max()
    assert forgotten < 0.1 * np.ptp(updated.teacher.score(photos))

    write_photo(tmp_path / "newest/a.png", texture(300, 1.0, size=(180, 220)))
    again = ssiqa.update(updated.output_dir, tmp_path / "newest", tmp_path / "again", **options)
    assert np.array_equal(again.teacher.score(photos), updated.student.score(photos))
    latest = student_weights(again.output_dir, 1)
    assert len(latest["regression.centres"]) == len(after["regression.centres"]) + 1


def test_photos_that_an_update_sees_again_count_once(
    run: ssiqa.Adaptation,
    regressed: dict[str, Any],
    tmp_path: Path,
    unlabeled: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As in a folder that grows: what was said of them before gives way to their new labels."""
    shutil.copytree(unlabeled, tmp_path / "grown")
    write_photo(tmp_path / "grown/more.png", texture(300, 1.0, size=(180, 220)))
    with caplog.at_level(logging.INFO, "ssiqa"):
        ssiqa.update(run.output_dir, tmp_path / "grown", tmp_path / "run", weights=regressed["weights"])
    assert "12 more are here again, and labelled anew" in caplog.text
    after, before = student_weights(tmp_path / "run", 1), student_weights(run.output_dir, 2)
    assert len(after["regression.centres"]) == len(before["regression.centres"]) + 1


def test_what_an_update_forgets_is_measured_on_any_photos(
    run: ssiqa.Adaptation,
) -> None:
    """Fifty of each block, or all: not those on which teacher and label agree best."""
    kept = exemplars.load(run.output_dir / exemplars.FOLDER)
    labels = sorted(float(row["pseudo_label"]) for row in rows(run))
    scale = run.student.scale
    assert sorted(scale.to_user(kept.targets)) == pytest.approx(labels, rel=1e-4)


def test_interrupted_before_its_report_a_run_goes_on_from_the_last_phase(
    run: ssiqa.Adaptation,
    labeled: Path,
    unlabeled: Path,
    regressed: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    interrupt("finish", interrupted, labeled, unlabeled, tmp_path, regressed)
    monkeypatch.setattr("ssiqa.adaptation.refit", interrupted)  # no phase is left to do
    again = ssiqa.adapt(labeled, unlabeled, tmp_path, **regressed)
    photos = sorted(unlabeled.glob("*.png"))
    for name in ("teacher", "student"):
        assert np.array_equal(getattr(again, name).score(photos), getattr(run, name).score(photos))


def test_a_single_depth_and_few_photos(
    labeled: Path, regressed: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is read at one depth has one view; three photos have none, which is said."""
    single = {**regressed, "blocks": 1, "depths": False, "feature_dim": 8}
    for count in (4, 3):
        for number in range(count):
            write_photo(tmp_path / f"{count}/{number}.png", texture(number, number * 0.5))
        caplog.clear()
        with caplog.at_level(logging.INFO, "ssiqa"):
            one = ssiqa.adapt(labeled, tmp_path / f"{count}", tmp_path / f"run {count}", **single)
        same = [row["pseudo_label"] == row["teacher_score"] for row in rows(one)]
        assert all(same) if count == 3 else not any(same)
        assert ("Labels are the teacher's alone" in caplog.text) == (count == 3)


def test_far_from_all_photos_the_network_has_its_say(regressed: dict[str, Any]) -> None:
    """There nothing is left of the regression but its mean, and scores differ as those of half the network do."""
    model = build_model(regressed["backbone"], regressed["weights"], depths=True, own_share=0.5)
    rng = np.random.default_rng(0)
    near, targets = rng.normal(size=(30, model.feature_dim)).astype(np.float32), rng.normal(size=30)
    model.regression = KernelHead.fit(torch.from_numpy(near), torch.from_numpy(targets), gamma=1e-3, alpha=0.1, seed=0)
    own = torch.tensor([-1.0, 2.0])
    score = model.score(1e3 + torch.zeros(2, model.feature_dim), own)
    assert float(score[1] - score[0]) == pytest.approx(0.5 * 3)


@pytest.mark.parametrize("backbone", ["test_efficientnet", "test_vit"])
def test_a_run_sees_photos_as_its_scorers_do(
    labeled: Path, unlabeled: Path, regressed: dict[str, Any], tmp_path: Path, backbone: str
) -> None:
    """Whole where the network takes any size, and otherwise by crops that cover them, whatever training is computed in.

    So the guard goes by what is handed out.
    """
    save_file(timm.create_model(backbone, pretrained=False).state_dict(), tmp_path / "weights.safetensors")
    covered = {"backbone": backbone, "weights": tmp_path / "weights.safetensors", "grid": 0, "weak_crops": 0}
    mixed = {**regressed, **covered, "precision": "bfloat16"}
    run = ssiqa.adapt(labeled, unlabeled, tmp_path / "run", **mixed)
    assert run.student.card["preprocess"]["whole"] is (backbone == "test_efficientnet")
    first = [row for row in rows(run) if row["block"] == "1"]
    said = np.array([float(row["teacher_score"]) for row in first])
    scored = run.teacher.score([unlabeled / row["image"] for row in first])
    assert np.abs(said - scored).max() < 1e-4 * run.teacher.scale.span
    for phase, name in ((0, "teacher"), (-1, "student")):
        assert run.report["phases"][phase]["holdout_srcc"] == pytest.approx(run.report["holdout"][name]["srcc"])


def test_mixed_precision_is_near(labeled: Path, unlabeled: Path, regressed: dict[str, Any], tmp_path: Path) -> None:
    whole, mixed = (
        ssiqa.adapt(labeled, unlabeled, tmp_path / precision, **{**regressed, "precision": precision})
        for precision in ("float32", "bfloat16")
    )
    photos = sorted(unlabeled.glob("*.png"))
    assert np.abs(mixed.student.score(photos) - whole.student.score(photos)).max() < 0.1 * whole.student.scale.span


def test_the_steps_of_a_gpu_lead_to_the_same_student(
    run: ssiqa.Adaptation,
    labeled: Path,
    unlabeled: Path,
    regressed: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Taken on the CPU here: one regression stands in for the other in all phases."""
    monkeypatch.setattr(ridge, "_OnCpu", GpuRidge)
    monkeypatch.setattr(
        ridge,
        "weigh",
        lambda centres, features, targets, **given: gpu_nystrom.solve(features, targets, centres, **given)[0],
    )
    found = ssiqa.adapt(labeled, unlabeled, tmp_path / "run", **regressed)
    for phase, expected in zip(found.report["phases"], run.report["phases"], strict=True):
        assert phase["gamma"] == pytest.approx(expected["gamma"], rel=1e-6)
        assert phase["alpha"] == pytest.approx(expected["alpha"], rel=1e-5)
        assert phase["loo_rmse"] == pytest.approx(expected["loo_rmse"], rel=1e-5)
    photos = sorted(unlabeled.glob("*.png"))
    assert np.abs(found.student.score(photos) - run.student.score(photos)).max() < 1e-4 * run.student.scale.span


def test_the_head_is_the_regression_that_was_fitted() -> None:
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(200, 12)).astype(np.float32), rng.normal(size=200)
    head = KernelHead.fit(torch.from_numpy(features), torch.from_numpy(targets), gamma=0.05, alpha=0.1, seed=3)
    expected = KernelRidge(0.05, 0.1).fit(features.astype(np.float64), targets).predict(features.astype(np.float64))
    found = head(torch.from_numpy(features))
    assert found.dtype == torch.float32
    assert np.allclose(found.numpy(), expected, atol=2e-3)
    again = KernelHead.restored({f"regression.{name}": kept for name, kept in head.state_dict().items()})
    assert again is not None
    assert torch.equal(again(torch.from_numpy(features)), found)
    assert KernelHead.restored({"head.weight": torch.zeros(1)}) is None
    many = KernelHead.fit(torch.randn(1500, 3), torch.randn(1500, dtype=torch.float64), gamma=1.0, alpha=1.0, seed=0)
    assert len(many.centres) == CENTRES


def test_what_is_remembered_has_the_share_of_the_photos_it_is_left_of() -> None:
    """So that a run's photos fade as 1, 1/2, 1/3 over updates of one size, and not by a half each time."""
    assert np.array_equal(centre_rows(1000, Remembered(400, 900), 0), np.arange(1000))
    kept, photos = 0, 0
    for update in range(1, 5):
        rows = centre_rows(1600 + 1500 + kept, Remembered(kept, photos), seed=update)
        assert len(rows) == len(np.unique(rows)) == CENTRES
        remembered = rows[rows >= 3100]
        photos += 1500
        assert len(remembered) == pytest.approx(CENTRES * (photos - 1500) / (1600 + photos), abs=1)
        kept = len(remembered) + np.sum((rows >= 1600) & (rows < 3100))
    assert len(centre_rows(10 + 2000, Remembered(2000, 2000), 0)) == CENTRES
    # Few others leave room for more than the share.
    assert len(centre_rows(10 + 1020, Remembered(1020, 20), 0)) == CENTRES


def test_weights_that_cancel_leave_an_exact_score() -> None:
    """Large ones of opposite sign around neighbours, as small penalties make them, far from a photo."""
    rng = np.random.default_rng(0)
    centres = 0.3 * rng.normal(size=(64, 3488)).astype(np.float32)
    centres[32:] = centres[:32] + 1e-4
    weights = np.repeat([100.0, -100.0], 32)
    head = KernelHead(torch.from_numpy(centres), torch.from_numpy(weights), 1e-3, 0.0)
    photos = 0.3 * rng.normal(size=(5, 3488)).astype(np.float32)
    apart = photos[:, None].astype(np.float64) - centres
    expected = np.exp(-float(head.gamma) * (apart**2).sum(2)) @ weights
    assert np.abs(expected).max() > 1e-3
    assert np.allclose(head(torch.from_numpy(photos)).numpy(), expected, rtol=1e-6, atol=1e-9)
