"""The whole way, on a tiny backbone."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from filelock import FileLock
from safetensors.numpy import load_file
from safetensors.torch import save_file

import ssiqa
from ssiqa import _core
from ssiqa import adaptation as module
from ssiqa.device import pick_precision

from .conftest import LABELED, UNLABELED, texture, write_photo


def student_weights(run: Path, phase: int = 2) -> dict[str, Any]:
    return load_file(run / f"checkpoints/phase-{phase}.safetensors")


def assert_same_student(a: Path, b: Path) -> None:
    first, second = student_weights(a), student_weights(b)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert (a / "pseudo_labels.csv").read_text() == (b / "pseudo_labels.csv").read_text()
    photo = texture(50, 1.0)
    assert ssiqa.load(a / "student.pt").score(photo) == ssiqa.load(b / "student.pt").score(photo)


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
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_changed_photos_are_another_run(
    adaptation: ssiqa.Adaptation, labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    pool = tmp_path / "pool"
    shutil.copytree(unlabeled, pool)
    write_photo(pool / "00.png", texture(999, 1.0))
    with pytest.raises(ssiqa.SsiqaError, match=r"another run .*fingerprints"):
        ssiqa.adapt(labeled, pool, adaptation.output_dir, **settings)


def test_weight_file_counts_by_its_content(
    adaptation: ssiqa.Adaptation, labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    moved = shutil.copy(settings["weights"], tmp_path / "moved.safetensors")
    again = ssiqa.adapt(labeled, unlabeled, adaptation.output_dir, **{**settings, "weights": moved})
    assert again.report == adaptation.report


def test_one_process_at_a_time(
    adaptation: ssiqa.Adaptation, labeled: Path, unlabeled: Path, settings: dict[str, Any]
) -> None:
    with FileLock(adaptation.output_dir / ".lock"), pytest.raises(ssiqa.SsiqaError, match="Another process"):
        ssiqa.adapt(labeled, unlabeled, adaptation.output_dir, **settings)


def test_damaged_run_is_named(
    adaptation: ssiqa.Adaptation, labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    shutil.copytree(adaptation.output_dir, tmp_path / "run")
    (tmp_path / "run/report.json").unlink()
    (tmp_path / "run/checkpoints/phase-1.json").write_text("{")
    with pytest.raises(ssiqa.SsiqaError, match=r"phase-1\.json is missing or damaged"):
        ssiqa.adapt(labeled, unlabeled, tmp_path / "run", **settings)


@pytest.mark.parametrize("moment", ["between weights and record", "while exporting"])
def test_a_kill_at_a_bad_moment_costs_one_step(
    adaptation: ssiqa.Adaptation,
    labeled: Path,
    unlabeled: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    run = tmp_path / "run"
    shutil.copytree(adaptation.output_dir, run)
    for name in ("report.json", "student.pt", "teacher.pt", "pseudo_labels.csv", "checkpoints/phase-2.json"):
        (run / name).unlink()
    target = "ssiqa.run.write_json" if moment == "between weights and record" else "ssiqa.export.to_json"
    with monkeypatch.context() as patched:
        patched.setattr(target, killed)
        with pytest.raises(KeyboardInterrupt):
            ssiqa.adapt(labeled, unlabeled, run, **settings)
    assert not (run / "report.json").exists()
    ssiqa.adapt(labeled, unlabeled, run, **settings)
    assert_same_student(adaptation.output_dir, run)


def test_dropout_starts_from_the_seed(labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    """A backbone with dropout gives the same student twice, whatever was drawn before."""
    state = timm.create_model("ghostnet_050", pretrained=False).state_dict()
    save_file(state, tmp_path / "ghost.safetensors")
    ghost = {**settings, "backbone": "ghostnet_050", "weights": tmp_path / "ghost.safetensors", "blocks": 1, "grid": 1}
    losses = []
    for number in range(2):
        torch.manual_seed(number)
        report = ssiqa.adapt(labeled, unlabeled, tmp_path / f"run{number}", **ghost).report
        losses.append([phase["losses"] for phase in report["phases"]])
    assert losses[0] == losses[1]


def test_pseudo_labels_come_from_the_native_core(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []
    for name in ("krr_fit", "rbf_matvec", "smallest_difference"):
        native = getattr(_core, name)
        monkeypatch.setattr(_core, name, lambda *a, _f=native, _n=name, **k: (called.append(_n), _f(*a, **k))[1])
    ssiqa.adapt(labeled, unlabeled, tmp_path, **{**settings, "blocks": 1})
    assert set(called) == {"krr_fit", "rbf_matvec", "smallest_difference"}


def test_file_names_that_are_not_unicode(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    pool = tmp_path / "pool"
    shutil.copytree(unlabeled, pool)
    shutil.copy(unlabeled / "00.png", os.fsencode(pool) + b"/caf\xe9.png")
    ssiqa.adapt(labeled, pool, tmp_path / "run", **settings)
    assert b"caf\xe9.png," in (tmp_path / "run/pseudo_labels.csv").read_bytes()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"blocks": 0}, "blocks is 0; it must be a whole number, 1 or more"),
        ({"blocks": "3"}, "blocks is '3'"),
        ({"gamma": -1.0}, "gamma is -1.0; it must be a number above 0 or 'auto'"),
        ({"holdout": 1.5}, "holdout is 1.5; it must be a number above 0 and below 1"),
        ({"krr": "no"}, "krr is 'no'; it must be True or False"),
        ({"teacher": {"epochs": 1}}, "must be an ssiqa.Schedule"),
        ({"sed": 1}, "No setting 'sed'; there are: backbone"),
        ({"preset": "fast"}, "No preset 'fast'; there are: default, paper"),
        ({"device": "tpu"}, "No device 'tpu'; there are: auto, cpu, cuda"),
        ({"precision": "half"}, "No precision 'half'; there are: auto, float32, bfloat16"),
        ({"cache_size": -1}, "cache_size is -1; it must be a number of GiB, 0 or more"),
        ({"on_error": "Raise"}, "on_error is 'Raise'; it must be one of: raise, skip"),
    ],
)
def test_wrong_settings_are_named(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(ssiqa.SsiqaError, match=re.escape(message)):
        ssiqa.adapt(labeled, unlabeled, tmp_path / "run", **{**settings, **wrong})
    assert not (tmp_path / "run").exists()


def test_groups_that_leave_one_photo_to_hold_out(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    grouped = tmp_path / "labeled"
    shutil.copytree(labeled, grouped)
    lines = (labeled / "labels.csv").read_text().splitlines()
    rows = [f"{line},{'one' if number == 0 else 'rest'}" for number, line in enumerate(lines[1:])]
    (grouped / "labels.csv").write_text("\n".join([f"{lines[0]},group", *rows]) + "\n")
    with pytest.raises(ssiqa.SsiqaError, match="give smaller groups"):
        ssiqa.adapt(grouped, unlabeled, tmp_path / "run", **settings)


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
    assert [path.name for path in (tmp_path / "raised").iterdir()] == [".cache"]
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


def entries(cache: Path) -> int:
    return sum(1 for path in cache.rglob("*.npy") if path.is_file())


def test_a_second_run_on_the_same_photos_decodes_nothing(
    adaptation: ssiqa.Adaptation, labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    decoded = []
    for number in range(2):
        profile = ssiqa.Profile()
        ssiqa.adapt(
            labeled, unlabeled, tmp_path / f"run{number}", cache_dir=tmp_path / "cache", profile=profile, **settings
        )
        decoded.append(profile.to_dict().get("decode", {"images": 0})["images"])
        assert_same_student(adaptation.output_dir, tmp_path / f"run{number}")
    assert decoded == [LABELED + UNLABELED, 0]


@pytest.mark.parametrize("trouble", ["no room", "damage", "removal"])
def test_a_cache_that_fails_changes_nothing_but_the_time(
    adaptation: ssiqa.Adaptation,
    labeled: Path,
    unlabeled: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    trouble: str,
) -> None:
    real = module.teach

    def harmed(learner: Any, material: Any) -> Any:
        for number, path in enumerate(sorted((tmp_path / "cache").rglob("*.npy"))):
            if trouble == "damage" and number % 3 == 0:
                path.write_bytes(path.read_bytes()[:-9] + b"123456789")
            elif trouble == "removal":
                path.unlink()
        return real(learner, material)

    monkeypatch.setattr(module, "teach", harmed)
    size = 3e-4 if trouble == "no room" else 1
    ssiqa.adapt(labeled, unlabeled, tmp_path / "run", cache_dir=tmp_path / "cache", cache_size=size, **settings)
    assert_same_student(adaptation.output_dir, tmp_path / "run")
    if trouble != "removal":
        assert ("is full" if trouble == "no room" else "is damaged") in caplog.text


def test_the_runs_own_cache_goes_when_the_run_is_finished(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = module.teach
    monkeypatch.setattr(module, "teach", lambda *a: (seen.append(entries(tmp_path / "run/.cache")), real(*a))[1])
    ssiqa.adapt(labeled, unlabeled, tmp_path / "run", **{**settings, "blocks": 1})
    assert seen == [LABELED + UNLABELED]
    assert not (tmp_path / "run/.cache").exists()


def test_a_photo_that_changes_during_the_run_is_named(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = tmp_path / "pool"
    shutil.copytree(unlabeled, pool)
    real = module.increment

    def after_a_change(*arguments: Any) -> Any:
        write_photo(pool / "03.png", texture(77, 0.0))
        return real(*arguments)

    monkeypatch.setattr(module, "increment", after_a_change)
    with pytest.raises(ssiqa.SsiqaError, match=r"03\.png has changed since the run began"):
        ssiqa.adapt(labeled, pool, tmp_path / "run", cache_size=0, **{**settings, "blocks": 1})


@pytest.mark.parametrize(
    ("features", "expected"), [(["avx2"], "float32"), (["avx512_bf16"], "bfloat16"), (["amx_bf16"], "bfloat16")]
)
def test_mixed_precision_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, features: list[str], expected: str
) -> None:
    monkeypatch.setattr(_core, "cpu_features", lambda: features)
    assert pick_precision("auto", torch.device("cpu")) == expected
    assert pick_precision("float32", torch.device("cpu")) == "float32"


def test_a_run_in_mixed_precision(labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    report = ssiqa.adapt(labeled, unlabeled, tmp_path, precision="bfloat16", **{**settings, "blocks": 1}).report
    assert report["precision"] == "bfloat16"
    with pytest.raises(ssiqa.SsiqaError, match=r"another run .*precision"):
        ssiqa.adapt(labeled, unlabeled, tmp_path, precision="float32", **{**settings, "blocks": 1})
