"""Arrays in a GPU's memory where there is none, or no kernels for it: one sentence, and nothing of it is touched."""

from __future__ import annotations

import subprocess
import sys
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
