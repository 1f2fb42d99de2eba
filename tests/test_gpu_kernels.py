"""Arrays in a GPU's memory where there is none, or no kernels for it: one sentence, and nothing of it is touched."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ssiqa import gpu, kernels


class OnGpu:
    """As much of an array as is asked for before its memory is."""

    shape = (2, 2)
    dtype = "float32"
    device = 0

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __dlpack__(self, **_: Any) -> object:
        raise AssertionError("its memory was asked for")

    def __array_namespace__(self) -> Any:
        return np


@pytest.mark.skipif(gpu.why_no_kernels() is None, reason="there are kernels for a GPU here")
def test_without_kernels_the_reason_is_said() -> None:
    reason = gpu.why_no_kernels()
    with pytest.raises(ValueError, match=f"GPU's memory, and ssiqa has no kernels for it: {reason}"):
        kernels.rbf_kernel(OnGpu(), gamma=1.0)


def test_a_build_without_the_module_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ssiqa._cuda", None)
    gpu.why_no_kernels.cache_clear()
    assert gpu.why_no_kernels() == "this build has none, because no CUDA compiler was found"
    gpu.why_no_kernels.cache_clear()


class Build:
    """As much of the native module as says what it is for."""

    def __init__(self, *capabilities: tuple[int, int]) -> None:
        self._found = [("NVIDIA X", capability) for capability in capabilities]

    def devices(self) -> list[tuple[str, tuple[int, int]]]:
        return self._found

    def architectures(self) -> str:
        return "80-real 86-real 90a-real 120"

    def Gpu(self, device: int, stream: int) -> tuple[int, int]:
        return device, stream

    def smallest_difference(self, *given: Any) -> None:
        self.place, allocate = given[-2:]
        self.scratch = allocate(7)


@pytest.fixture
def build(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(gpu, "module", lambda: Build(*request.param))
    gpu.why_no_kernels.cache_clear()
    yield
    gpu.why_no_kernels.cache_clear()


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        ([], "there is no GPU"),
        (
            [(7, 5)],
            r"this build is for architectures 80-real 86-real 90a-real 120, not for NVIDIA X \(7.5\)",
        ),
        ([(7, 5), (8, 9)], None),
        ([(9, 0)], None),
        ([(10, 0)], r"this build is for .* NVIDIA X \(10.0\)"),
        ([(12, 1)], None),
    ],
    indirect=["build"],
)
@pytest.mark.usefixtures("build")
def test_a_gpu_that_a_build_is_not_for(reason: str | None) -> None:
    found = gpu.why_no_kernels()
    assert found == reason if reason is None else found is not None and re.fullmatch(reason, found)


@pytest.mark.parametrize("build", [[(9, 0)]], indirect=True)
@pytest.mark.usefixtures("build")
def test_arrays_whose_stream_is_not_known() -> None:
    with pytest.raises(ValueError, match=r"of a library other than torch and CuPy.*torch\.from_dlpack"):
        kernels.rbf_kernel(OnGpu(), gamma=1.0)


@pytest.mark.parametrize("build", [[(7, 5), (8, 9)]], indirect=True)
@pytest.mark.usefixtures("build")
def test_an_array_on_the_one_gpu_that_has_no_code() -> None:
    with pytest.raises(ValueError, match=r"has no kernels for it: this build is for .*, not for NVIDIA X \(7\.5\)"):
        kernels.rbf_kernel(OnGpu(), gamma=1.0)


def test_arrays_of_cupy_are_computed_on_their_device_and_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    native, entered = Build((8, 0), (8, 0)), []

    class Device(nullcontext[None]):
        def __init__(self, number: int) -> None:
            super().__init__()
            entered.append(number)

    class Vector(OnGpu):
        shape = (2,)
        device = Device(1)

        def __dlpack_device__(self) -> tuple[int, int]:
            return 2, 1

    cuda = SimpleNamespace(Device=Device, get_current_stream=lambda: SimpleNamespace(ptr=77))
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(__name__="cupy", ndarray=Vector, cuda=cuda))
    monkeypatch.setattr(gpu, "module", lambda: native)
    gpu.why_no_kernels.cache_clear()
    kernels.smallest_difference(Vector(), Vector(), 1)
    gpu.why_no_kernels.cache_clear()
    assert native.place == (1, 77)
    assert native.scratch.shape == (7,)
    assert entered == [1, 1]


@pytest.mark.parametrize(
    ("architectures", "runs"),
    [
        ("native", True),
        ("all-major", True),
        ("100f", False),
        ("120f-real", True),
        ("120a", False),
        ("89-virtual", True),
    ],
)
def test_what_architectures_mean(architectures: str, runs: bool) -> None:
    assert gpu.runs_on(architectures, (12, 1)) == runs


def test_the_module_is_not_loaded_for_arrays_of_the_cpu() -> None:
    code = """
import sys, numpy, ssiqa
ssiqa.kernels.rbf_kernel(numpy.eye(2), gamma=1.0)
assert "ssiqa._cuda" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_medium_precision_is_for_gpus() -> None:
    with pytest.raises(ValueError, match="precision 'medium' is for arrays on a GPU"):
        kernels.rbf_matvec(np.eye(2), np.eye(2), np.ones(2), gamma=1.0, precision="medium")
    with pytest.raises(ValueError, match="precision must be 'high' or 'medium', but it is 'low'"):
        kernels.rbf_matvec(np.eye(2), np.eye(2), np.ones(2), gamma=1.0, precision="low")  # type: ignore[arg-type]
