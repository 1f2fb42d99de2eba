"""The demo, whole: minutes, so it runs by `pytest -m slow`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ssiqa.demo.show import run_demo


@pytest.mark.slow
def test_demo_shows_both_folders_before_and_after(tmp_path: Path) -> None:
    text = run_demo(tmp_path)
    assert "not human opinions" in text
    values = [float(number) for number in re.findall(r"-?0\.\d{3}", text)]
    assert len(values) == 8
    assert values[0] > 0.6  # SRCC of the teacher on unseen regions of the first world
    assert (tmp_path / "run/student.pt").is_file()
    assert run_demo(tmp_path) == text
