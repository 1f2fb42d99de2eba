"""The whole way, on a tiny backbone."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

import ssiqa
from ssiqa import _core, exemplars, trust
from ssiqa.data import read_labeled_folder
from ssiqa.device import pick_precision
from ssiqa.material import _copies_together
from ssiqa.trust import Coverage

from .conftest import LABELED, UNLABELED, assert_same_student, texture, write_photo


def test_run_leaves_everything_it_promises(adaptation: ssiqa.Adaptation, unlabeled: Path) -> None:
    names = {path.name for path in adaptation.output_dir.iterdir() if not path.name.startswith(".")}
    tables = {"report.json", "pseudo_labels.csv", "run.json"}
    assert names == tables | {"student.pt", "teacher.pt", "exemplars", "checkpoints"}
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
    assert all(float(row["std"]) > 0 for row in rows)
    uncovered = np.mean([row["covered"] == "0" for row in rows])
    assert report["coverage"]["uncovered"] == pytest.approx(uncovered)
    assert 0 < report["phases"][1]["label_srcc"] <= 1


def test_scores_are_on_the_labels_scale(adaptation: ssiqa.Adaptation, labeled: Path) -> None:
    scores = adaptation.teacher.score(sorted(labeled.glob("deep/*.png")))
    assert 0 < scores.mean() < 100
    assert isinstance(adaptation.student.score(labeled / "deep/00.png"), float)
    assert adaptation.student.card["metrics"]["holdout"] == adaptation.report["holdout"]["student"]
    assert adaptation.student.card["adapted"] is True
    assert adaptation.teacher.card["adapted"] is False
    assert adaptation.student.card["coverage"] == adaptation.report["coverage"]


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
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    ssiqa.adapt(labeled, pool, folder, **settings)
    assert b"caf\xe9.png," in (folder / "pseudo_labels.csv").read_bytes()
    assert ssiqa.load(folder).card["backbone"] == settings["backbone"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"blocks": 0}, "blocks is 0; it must be a whole number, 1 or more"),
        ({"blocks": "3"}, "blocks is '3'"),
        ({"seed": 2**32}, "seed is 4294967296; it must be below 4294967296"),
        ({"replay_every": (4, -1)}, "replay_every is (4, -1); it must be a whole number, 0 or more, or a pair of them"),
        ({"replay_every": [4]}, "replay_every is (4,); it must be a whole number"),
        ({"replay_every": "4"}, "replay_every is '4'; it must be a whole number"),
        ({"gamma": -1.0}, "gamma is -1.0; it must be a number above 0 or 'auto'"),
        ({"holdout": 1.5}, "holdout is 1.5; it must be a number above 0 and below 1"),
        ({"tolerance": 3}, "tolerance is 3; it must be a number above 0 and below 2, or 0 or 2"),
        ({"krr": "no"}, "krr is 'no'; it must be True or False"),
        ({"teacher": {"epochs": 1}}, "must be an ssiqa.Schedule"),
        ({"sed": 1}, "No setting 'sed'; there are: backbone"),
        ({"preset": "fast"}, "No preset 'fast'; there are: default, paper"),
        ({"device": "tpu"}, "No device 'tpu'; there are: auto, cpu, cuda"),
        ({"precision": "half"}, "No precision 'half'; there are: auto, float32, bfloat16"),
        ({"cache_size": -1}, "The cache size is -1; it must be a number of GiB, 0 or more"),
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
    with pytest.raises(ssiqa.SsiqaError, match="give more photos, smaller groups or another holdout"):
        ssiqa.adapt(grouped, unlabeled, tmp_path / "run", **settings)


def test_ablations(labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    baseline = {**settings, "krr": False, "blocks": 1, "replay_every": 0}
    report = ssiqa.adapt(labeled, unlabeled, tmp_path, **baseline).report
    assert report["phases"][1]["gamma"] is None
    assert report["phases"][1]["exemplars"] == [0]
    with (tmp_path / "pseudo_labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(row["pseudo_label"] == row["teacher_score"] for row in rows)
    assert {(row["std"], row["covered"]) for row in rows} == {("", "")}
    assert report["coverage"] is None


def test_k1_and_k2_apart(labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    """19 photos of A, two blocks of six: K1 = 0 replays none of A, K2 = 3 replays two of the first block."""
    apart = {**settings, "replay_every": (0, 3)}
    report = ssiqa.adapt(labeled, unlabeled, tmp_path, **apart).report
    assert [phase["exemplars"] for phase in report["phases"][1:]] == [[0], [0, 2]]
    assert len(exemplars.load(tmp_path / exemplars.FOLDER).photos) == 4
    as_json = {**settings, "replay_every": report["settings"]["replay_every"]}
    assert ssiqa.adapt(labeled, unlabeled, tmp_path, **as_json).report == report  # the same run, found again


def test_a_label_is_as_much_the_teachers_as_the_settings_say(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    labels = []
    for share in (0.0, 0.5):
        ssiqa.adapt(labeled, unlabeled, tmp_path / str(share), **{**settings, "blocks": 1}, teacher_share=share)
        with (tmp_path / str(share) / "pseudo_labels.csv").open() as file:
            labels.append([(float(row["pseudo_label"]), float(row["teacher_score"])) for row in csv.DictReader(file)])
    for (regressed, teacher), (mixed, again) in zip(*labels, strict=True):
        assert teacher == again
        assert mixed == pytest.approx((regressed + teacher) / 2, rel=1e-4)


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


@pytest.mark.parametrize("trained", [True, False])
def test_photos_that_a_does_not_cover_are_warned_of_once(
    labeled: Path,
    unlabeled: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    trained: bool,
) -> None:
    monkeypatch.setattr(trust, "coverage", lambda *_: Coverage(limit=1.0, uncovered=0.6, usual=0.05, chance=0.001))
    with caplog.at_level(logging.WARNING, "ssiqa"):
        run = ssiqa.adapt(labeled, unlabeled, tmp_path, **settings | ({} if trained else {"student": None}))
    assert caplog.text.count("60% of the unlabelled photos are unlike the labelled ones (5% would be usual)") == 1
    assert run.report["coverage"] == {"uncovered": pytest.approx(0.6), "usual": pytest.approx(0.05)}


def test_copies_of_a_labelled_photo_share_a_group(
    labeled: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise one could be trained on, and its copy held out."""
    shutil.copytree(labeled / "deep", tmp_path / "deep")
    names = sorted(path.name for path in (tmp_path / "deep").iterdir())
    shutil.copy(tmp_path / "deep/00.png", tmp_path / "copy.png")
    shutil.copy(tmp_path / "deep/05.png", tmp_path / "another.png")
    rows = [f"deep/{name},{number},{'' if number else 'first'}" for number, name in enumerate(names)]
    rows += ["copy.png,3,late", "another.png,4,late"]
    (tmp_path / "labels.csv").write_text("\n".join(["image,mos,group", *rows]) + "\n")
    folder = read_labeled_folder(tmp_path)
    digests = [hashlib.sha256((tmp_path / image).read_bytes()).digest() for image in folder.images]
    with caplog.at_level(logging.WARNING, "ssiqa"):
        together = _copies_together(folder, digests)
    groups = dict(zip(together.images, together.groups, strict=True))
    assert groups["copy.png"] == groups["another.png"] == groups["deep/00.png"] == groups["deep/05.png"]
    assert len(set(groups.values())) == len(names) - 1
    assert "2 of the labelled photos" in caplog.text
    assert _copies_together(together, [bytes([number]) for number in range(len(digests))]) is together


def test_labelled_photos_among_the_unlabelled_are_warned_of(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(unlabeled, tmp_path / "all")
    shared = sorted(labeled.rglob("*.png"))[0]
    shutil.copy(shared, tmp_path / "all/copy.png")
    with caplog.at_level(logging.WARNING, "ssiqa"):
        ssiqa.adapt(labeled, tmp_path / "all", tmp_path / "run", **{**settings, "blocks": 1})
    assert "1 of the 13 unlabelled photos" in caplog.text
    assert "are labelled ones, too (copy.png)" in caplog.text
