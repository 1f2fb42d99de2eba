"""The embedded backbone on real photographs."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import ssiqa
from ssiqa.config import Schedule
from ssiqa.data import holdout_split, read_labeled_folder

LABELED, UNLABELED = 60, 15


@pytest.fixture(scope="module")
def run(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> ssiqa.Adaptation:
    """A short run from the first photos of BIQ2021's SS01 to the first of SS03."""
    root = tmp_path_factory.mktemp("biq2021")
    source, target = shared_data / "biq2021/ss01", shared_data / "biq2021/ss03_unlabeled"
    with (source / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))[: LABELED * 10 : 10]
    for row in rows:
        link(source / row["image"], root / "labeled" / row["image"])
    with (root / "labeled/labels.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    for photo in sorted(target.rglob("*.jpg"))[:UNLABELED]:
        link(photo, root / "unlabeled" / photo.name)
    return ssiqa.adapt(
        root / "labeled",
        root / "unlabeled",
        root / "run",
        weak_crops=1,
        teacher=Schedule(epochs=1, lr=1e-4, decay_every=1),
    )


def link(photo: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(photo.resolve())


def test_even_a_short_run_knows_good_from_bad(run: ssiqa.Adaptation, shared_data: Path) -> None:
    """The probed head on ImageNet features alone ranks photos of the same source well above chance."""
    with (shared_data / "biq2021/ss01/labels.csv").open() as file:
        rows = sorted(csv.DictReader(file), key=lambda row: float(row["mos"]))
    worst, best = ([shared_data / "biq2021/ss01" / row["image"] for row in part] for part in (rows[:8], rows[-8:]))
    for scorer in (run.teacher, run.student):
        scores = scorer.score([*worst, *best])
        assert np.median(scores[:8]) < np.median(scores[8:])


def test_intervals_hold_on_the_hold_out(run: ssiqa.Adaptation) -> None:
    """As many as promised, in units of the labels, as wide as the report says, and wider for what is no photo."""
    folder = read_labeled_folder(run.output_dir.with_name("labeled"))
    held = holdout_split(folder.groups, 0.2, seed=0)[1]
    _, ends = run.student.score([folder.root / folder.images[index] for index in held], return_interval=True)
    truth, widths = folder.labels[held], ends[:, 1] - ends[:, 0]
    assert np.mean((truth >= ends[:, 0]) & (truth <= ends[:, 1])) >= 0.9
    assert np.median(widths) == pytest.approx(run.report["interval"]["student"]["width"], rel=1e-4)
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    _, (low, high) = run.student.score(noise, return_interval=True)
    assert high - low > widths.max()


def test_scores_lie_near_the_scale(run: ssiqa.Adaptation, shared_data: Path) -> None:
    photos = sorted((shared_data / "biq2021/ss03_unlabeled").rglob("*.jpg"))[-5:]
    assert (np.abs(run.student.score(photos) - 0.5) < 1).all()
