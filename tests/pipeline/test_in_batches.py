"""The steps of a run on a GPU, taken on the CPU: photos in batches, regressions where the features are."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ssiqa
from ssiqa import gpu_memory, ridge
from ssiqa.gpu_ridge import GpuRidge
from ssiqa.network import Network

from .conftest import texture, write_photo

CROP = 3 * 160**2


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A GPU that holds five crops at once; how many numbers it was given each time."""
    given: list[int] = []
    real, taken_by = Network.__init__, gpu_memory.Room.taken_by

    def in_batches(self: Network, *arguments: Any, **settings: Any) -> None:
        real(self, *arguments, **settings)
        self.in_batches = True

    def counted(self: gpu_memory.Room, values: int) -> Any:
        given.append(values)
        return taken_by(self, values)

    monkeypatch.setattr(Network, "__init__", in_batches)
    monkeypatch.setattr(gpu_memory.Room, "taken_by", counted)
    monkeypatch.setattr(gpu_memory, "free_memory", lambda _: 2 * 5 * CROP)
    monkeypatch.setattr(ridge, "_OnCpu", GpuRidge)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    for name, found in (("reset_peak_memory_stats", None), ("memory_allocated", 0), ("max_memory_allocated", 1)):
        monkeypatch.setattr(torch.cuda, name, lambda _, found=found: found)
    return given


@pytest.mark.parametrize("trained", [True, False])
def test_the_student_is_nearly_the_same(
    trained: bool,
    labeled: Path,
    unlabeled: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    chosen = {**settings, "precision": "float32"} | ({} if trained else {"student": None})
    expected = ssiqa.adapt(labeled, unlabeled, tmp_path / "one by one", **chosen)
    taken = request.getfixturevalue("taken")
    found = ssiqa.adapt(labeled, unlabeled, tmp_path / "in batches", **chosen)
    assert 2 * CROP < max(taken) <= 5 * CROP
    photos = sorted(unlabeled.glob("*.png"))
    for name in ("teacher", "student"):
        scores = [getattr(run, name).score(photos) for run in (expected, found)]
        assert np.abs(scores[0] - scores[1]).max() < 0.02 * expected.teacher.scale.span, name


def test_photos_of_several_shapes_keep_their_order(
    labeled: Path, settings: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A batch holds one shape."""
    for number in range(9):
        write_photo(
            tmp_path / f"new/{number}.png", texture(number, 1.0, size=((180, 220), (220, 180))[number % 3 // 2])
        )
    whole = {**settings, "student": None, "grid": 0, "weak_crops": 0, "precision": "float32"}
    tables = []
    for name in ("one by one", "in batches"):
        run = ssiqa.adapt(labeled, tmp_path / "new", tmp_path / name, **whole)
        with (run.output_dir / "pseudo_labels.csv").open() as file:
            tables.append([(row["image"], float(row["teacher_score"])) for row in csv.DictReader(file)])
        request.getfixturevalue("taken")
    assert [image for image, _ in tables[0]] == [image for image, _ in tables[1]]
    one_by_one, in_batches = (np.array([score for _, score in table]) for table in tables)
    assert np.abs(one_by_one - in_batches).max() < 0.02 * run.teacher.scale.span
