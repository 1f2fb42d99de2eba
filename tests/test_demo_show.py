"""What `ssiqa demo` prints, without the minutes that an adaptation takes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from ssiqa.demo import DemoFolders, show
from ssiqa.metrics import Evaluation


def test_undefined_correlations_are_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nan = float("nan")
    known = {"srcc": 0.5, "plcc": -0.25, "krcc": 0.1, "rmse": 1.0, "n": 60}
    unknown = {"srcc": None, "plcc": None, "krcc": None, "rmse": 1.0, "n": 60}
    done = SimpleNamespace(
        report={"holdout": {"teacher": unknown, "student": known}},
        teacher="teacher",
        student="student",
        output_dir=tmp_path / "run",
    )
    test = {"teacher": Evaluation(0.75, 0.125, 0.1, 1.0, 110), "student": Evaluation(nan, nan, nan, 1.0, 110)}
    monkeypatch.setattr(show, "make_demo_folders", lambda root, seed: DemoFolders(root / "a", root / "b", root / "c"))
    monkeypatch.setattr(show, "adapt", lambda *folders, seed: done)
    monkeypatch.setattr(show, "evaluate", lambda scorer, folder: test[scorer])
    lines = show.run_demo(tmp_path).splitlines()
    (held_out,) = (line for line in lines if "photos held out" in line)
    (other,) = (line for line in lines if "other photos" in line)
    assert held_out.split()[-4:] == ["undefined", "undefined", "0.500", "-0.250"]
    assert other.split()[-4:] == ["0.125", "0.750", "undefined", "undefined"]
