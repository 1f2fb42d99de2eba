"""The run on a GPU: the same method, so nearly the same numbers."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ssiqa
from ssiqa.device import why_no_cuda

from .conftest import texture, write_photo

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(why_no_cuda() is not None, reason=f"no GPU: {why_no_cuda()}"),
]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_on_a_gpu_is_that_of_a_cpu(
    adaptation: ssiqa.Adaptation,
    labeled: Path,
    unlabeled: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    precision: str,
) -> None:
    run = ssiqa.adapt(labeled, unlabeled, tmp_path, device="cuda", precision=precision, **settings)
    for expected, found in zip(adaptation.report["phases"], run.report["phases"], strict=True):
        assert found["losses"] == pytest.approx(expected["losses"], rel=0.1)
    photos = sorted(unlabeled.glob("*.png"))
    scores = [scorer.score(photos) for scorer in (adaptation.teacher, run.teacher)]
    assert np.abs(scores[0] - scores[1]).max() < 0.1 * adaptation.teacher.scale.span


def test_a_regression_on_a_gpu(labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    """The default's student: chosen, fitted and asked there."""
    chosen = {**settings, "student": None, "precision": "float32"}
    run = ssiqa.adapt(labeled, unlabeled, tmp_path / "gpu", device="cuda", **chosen)
    again = ssiqa.adapt(labeled, unlabeled, tmp_path / "gpu", device="cuda", **chosen)
    assert again.report == run.report
    expected = ssiqa.adapt(labeled, unlabeled, tmp_path / "cpu", device="cpu", **chosen)
    photos = sorted(unlabeled.glob("*.png"))
    assert np.abs(run.student.score(photos) - expected.student.score(photos)).max() < 0.1 * run.student.scale.span


def test_photos_of_several_shapes_are_seen_whole_on_a_gpu(
    labeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    """A batch holds one shape; the order stays."""
    for number in range(9):
        write_photo(tmp_path / f"new/{number}.png", texture(number, 1.0, size=((180, 220), (220, 180))[number % 2]))
    whole = {**settings, "student": None, "grid": 0, "weak_crops": 0, "precision": "float32"}
    tables = []
    for device in ("cpu", "cuda"):
        run = ssiqa.adapt(labeled, tmp_path / "new", tmp_path / device, device=device, **whole)
        with (run.output_dir / "pseudo_labels.csv").open() as file:
            tables.append([(row["image"], float(row["teacher_score"])) for row in csv.DictReader(file)])
    assert [image for image, _ in tables[0]] == [image for image, _ in tables[1]]
    found, expected = (np.array([score for _, score in table]) for table in tables)
    assert np.abs(found - expected).max() < 0.1 * run.teacher.scale.span


def test_scoring_on_a_gpu(adaptation: ssiqa.Adaptation, unlabeled: Path) -> None:
    photos = sorted(unlabeled.glob("*.png"))
    on_gpu = ssiqa.load(adaptation.output_dir / "student.pt", device="cuda")
    assert on_gpu.score(photos) == pytest.approx(adaptation.student.score(photos), rel=1e-3)
