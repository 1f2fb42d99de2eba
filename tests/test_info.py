"""`ssiqa info` says what is wrong; it does not stumble over it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def info(**environment: str) -> dict[str, str]:
    """The lines that a fresh process prints."""
    result = subprocess.run(
        [sys.executable, "-m", "ssiqa", "info"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.split()[0]: line.partition(" ")[2].strip() for line in result.stdout.splitlines()}


def test_lists_the_variants_beside_the_one_that_runs() -> None:
    core = info(SSIQA_CPU_ISA="baseline")["core"]
    assert "runs baseline code" in core
    assert "possible here: baseline" in core


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("SSIQA_CPU_ISA", "foo", "SSIQA_CPU_ISA is 'foo'"), ("SSIQA_NUM_THREADS", "many", "SSIQA_NUM_THREADS")],
)
def test_a_setting_the_core_refuses_is_one_line(name: str, value: str, message: str) -> None:
    lines = info(**{name: value})
    assert lines["core"].startswith("does not load: ")
    assert message in lines["core"]
    assert {"torchvision", "safetensors", "cpu", "cuda"} <= lines.keys()
    result = subprocess.run(
        [sys.executable, "-m", "ssiqa", "score", "student.pt", "photo.jpg"],
        env={**os.environ, name: value},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("ssiqa: ")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.endswith(".\n")
    assert not result.stderr.endswith("..\n")


def test_opencv_of_another_distribution_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import PackageNotFoundError

    import cv2

    from ssiqa.info import facts

    def version(name: str) -> str:
        if name == "opencv-python":
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr("ssiqa.info.version", version)
    assert facts()["opencv-python"] == f"{cv2.__version__} (another distribution)"
