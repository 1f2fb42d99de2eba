"""Where a run is made, by what torch and the kernels can use; no GPU is touched."""

from __future__ import annotations

import pytest
import torch

from ssiqa import device
from ssiqa.errors import SsiqaError


@pytest.fixture
def gpu_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "why_no_cuda", lambda: None)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    device._warn_of_unused.cache_clear()


def test_a_gpu_with_kernels_is_taken(gpu_of_torch: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "why_no_kernels", lambda number: None)
    assert device.pick_device_of_runs("auto").type == device.pick_device_of_runs("cuda").type == "cuda"
    assert device.pick_device_of_runs("cpu").type == "cpu"


def test_a_gpu_without_kernels_is_left_to_finished_scorers(
    gpu_of_torch: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A run would train there, and then have no regression."""
    monkeypatch.setattr(device, "why_no_kernels", lambda number: "none were built")
    assert [device.pick_device_of_runs("auto").type for _ in range(2)] == ["cpu", "cpu"]
    assert caplog.text.count("The GPU is not used, because ssiqa has no kernels for it (none were built).") == 1
    with pytest.raises(SsiqaError, match=r"no kernels for it \(none were built\); use 'auto' or 'cpu'"):
        device.pick_device_of_runs("cuda")
    assert device.pick_device("auto").type == "cuda"
