"""The whole way, on a tiny backbone."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import ssiqa
from ssiqa import adaptation as module

from .conftest import LABELED, UNLABELED, texture, write_photo


def student_weights(run: Path, phase: int = 2) -> dict[str, Any]:
    return load_file(run / f"checkpoints/phase-{phase}.safetensors")


def assert_same_student(a: Path, b: Path) -> None:
    first, second = student_weights(a), student_weights(b)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_run_leaves_everything_it_promises(adaptation: ssiqa.Adaptation, unlabeled: Path) -> None:
    names = {path.name for path in adaptation.output_dir.iterdir() if not path.name.startswith(".")}
    assert names == {"student.pt", "teacher.pt", "report.json", "pseudo_labels.csv", "run.json", "checkpoints"}
    report = json.loads((adaptation.output_dir / "report.json").read_text())
    assert report["data"]["labeled"]["train"] + report["data"]["labeled"]["holdout"] == LABELED
    assert [len(phase["losses"]) for phase in report["phases"]] == [2, 1, 1]
    # Phase 1 replays ceil(n / 4) photos of A; phase 2 those and ceil(6 / 4) of block 1.
    of_a = -(-report["data"]["labeled"]["train"] // 4)
    assert [phase["exemplars"] for phase in report["phases"]] == [[], [of_a], [of_a, 2]]
    with (adaptation.output_dir / "pseudo_labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len({row["image"] for row in rows}) == UNLABELED
    assert {row["block"] for row in rows} == {"1", "2"}
    assert all(np.isfinite(float(row["pseudo_label"])) for row in rows)


def test_scores_are_on_the_labels_scale(adaptation: ssiqa.Adaptation, labeled: Path) -> None:
    scores = adaptation.teacher.score(sorted(labeled.glob("deep/*.png")))
    assert 0 < scores.mean() < 100
    assert isinstance(adaptation.student.score(labeled / "deep/00.png"), float)
    assert adaptation.student.card["metrics"]["holdout"] == adaptation.report["holdout"]["student"]


def test_student_differs_from_teacher(adaptation: ssiqa.Adaptation, unlabeled: Path) -> None:
    photo = unlabeled / "03.png"
    assert adaptation.student.score(photo) != adaptation.teacher.score(photo)


def test_same_seed_same_student(
    adaptation: ssiqa.Adaptation, labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    again = ssiqa.adapt(labeled, unlabeled, tmp_path, **settings)
    assert_same_student(adaptation.output_dir, again.output_dir)
    other = ssiqa.adapt(labeled, unlabeled, tmp_path / "other", seed=1, **settings)
    assert other.report["phases"][0]["losses"] != again.report["phases"][0]["losses"]


@pytest.mark.parametrize("finished", [1, 2])
def test_interrupted_run_continues_to_the_same_student(
    adaptation: ssiqa.Adaptation,
    labeled: Path,
    unlabeled: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    finished: int,
) -> None:
    real = module.increment

    def interrupted(learner: Any, material: Any, block: int, records: Any) -> Any:
        if len(records) == finished:
            raise KeyboardInterrupt
        return real(learner, material, block, records)

    monkeypatch.setattr(module, "increment", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ssiqa.adapt(labeled, unlabeled, tmp_path, **settings)
    monkeypatch.undo()
    monkeypatch.setattr(module, "teach", None)  # phase 0 must not be done again
    ssiqa.adapt(labeled, unlabeled, tmp_path, **settings)
    assert_same_student(adaptation.output_dir, tmp_path)


def test_finished_run_is_loaded_not_repeated(
    adaptation: ssiqa.Adaptation,
    labeled: Path,
    unlabeled: Path,
    settings: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "finish", None)
    again = ssiqa.adapt(labeled, unlabeled, adaptation.output_dir, **settings)
    assert again.report == adaptation.report


def test_folder_of_another_run_is_refused(
    adaptation: ssiqa.Adaptation, labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ssiqa.SsiqaError, match=r"another run .*settings"):
        ssiqa.adapt(labeled, unlabeled, adaptation.output_dir, seed=5, **settings)
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ssiqa.SsiqaError, match="not empty"):
        ssiqa.adapt(labeled, unlabeled, tmp_path, **settings)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_ablations(labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    baseline = {**settings, "krr": False, "blocks": 1, "replay_every": 0}
    report = ssiqa.adapt(labeled, unlabeled, tmp_path, **baseline).report
    assert report["phases"][1]["gamma"] is None
    assert report["phases"][1]["exemplars"] == [0]
    with (tmp_path / "pseudo_labels.csv").open() as file:
        assert all(row["pseudo_label"] == row["teacher_score"] for row in csv.DictReader(file))


def test_given_gamma_and_alpha_are_used(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    report = ssiqa.adapt(labeled, unlabeled, tmp_path, gamma=0.02, alpha=0.5, **settings).report
    assert [(phase["gamma"], phase["alpha"]) for phase in report["phases"][1:]] == [(0.02, 0.5)] * 2


def test_unreadable_photos(labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    shutil.copytree(unlabeled, pool)
    (pool / "broken.jpg").write_bytes(b"not a photo")
    with pytest.raises(ssiqa.SsiqaError, match=r"broken\.jpg"):
        ssiqa.adapt(labeled, pool, tmp_path / "raised", **settings)
    assert not (tmp_path / "raised").exists()
    report = ssiqa.adapt(labeled, pool, tmp_path / "skipped", on_error="skip", **settings).report
    assert list(report["data"]["unlabeled"]["skipped"]) == ["broken.jpg"]
    assert report["data"]["unlabeled"]["photos"] == UNLABELED


def test_dmos_comes_back_as_dmos(
    adaptation: ssiqa.Adaptation, labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    """DMOS = 100 - MOS must give the same student, mirrored."""
    mirrored = tmp_path / "labeled"
    shutil.copytree(labeled, mirrored)
    rows = [line.split(",") for line in (labeled / "labels.csv").read_text().splitlines()[1:]]
    lines = ["image,dmos", *(f"{name},{100 - float(mos)}" for name, mos in rows)]
    (mirrored / "labels.csv").write_text("\n".join(lines) + "\n")
    dmos = ssiqa.adapt(mirrored, unlabeled, tmp_path / "run", **settings)
    photo = unlabeled / "05.png"
    assert dmos.student.score(photo) == pytest.approx(100 - adaptation.student.score(photo), abs=1e-2)
    # A scorer of one kind against labels of the other: the correlations stay positive for agreement.
    assert ssiqa.evaluate(dmos.teacher, labeled).srcc == pytest.approx(ssiqa.evaluate(dmos.teacher, mirrored).srcc)


def test_small_and_extreme_photos_are_taken(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    pool = tmp_path / "pool"
    shutil.copytree(unlabeled, pool)
    write_photo(pool / "dot.png", texture(1, 0, size=(20, 20))[:1, :1])
    write_photo(pool / "panorama.png", texture(1, 0, size=(20, 2000)))
    adaptation = ssiqa.adapt(labeled, pool, tmp_path / "run", **settings)
    assert np.isfinite(adaptation.student.score([pool / "dot.png", pool / "panorama.png"])).all()
