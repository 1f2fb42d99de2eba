"""The run on a GPU: the same method, so nearly the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ssiqa
from ssiqa.device import why_no_cuda

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
    """The default's student: fitted on the CPU to features of the GPU, and scoring there in the phases that follow."""
    run = ssiqa.adapt(labeled, unlabeled, tmp_path, device="cuda", **{**settings, "student": None})
    again = ssiqa.adapt(labeled, unlabeled, tmp_path, device="cuda", **{**settings, "student": None})
    assert again.report == run.report
    assert np.isfinite(run.student.score(sorted(unlabeled.glob("*.png")))).all()


def test_scoring_on_a_gpu(adaptation: ssiqa.Adaptation, unlabeled: Path) -> None:
    photos = sorted(unlabeled.glob("*.png"))
    on_gpu = ssiqa.load(adaptation.output_dir / "student.pt", device="cuda")
    assert on_gpu.score(photos) == pytest.approx(adaptation.student.score(photos), rel=1e-3)
