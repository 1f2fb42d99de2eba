"""How many crops a GPU takes at once: by what the first took, of what is free."""

from __future__ import annotations

import pytest
import torch

from ssiqa import SsiqaError
from ssiqa.gpu_memory import MOST, Room, free_memory

DEVICE = torch.device("cuda", 0)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A GPU's memory, in bytes: free of it, and torch's share."""
    state = {"free": 1000, "reserved": 300, "allocated": 100, "peak": 100}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (state["free"], 10_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: state["reserved"])
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: state["allocated"])
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: state["peak"])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: state.update(peak=state["allocated"]))
    return state


def test_what_torch_holds_and_does_not_use_is_free(gpu: dict[str, int]) -> None:
    assert free_memory(DEVICE) == 1200
    assert free_memory(torch.device("cpu")) > 1 << 20


def test_the_first_piece_tells_how_many_fit_into_half_of_it(gpu: dict[str, int]) -> None:
    room = Room(DEVICE)
    assert room.values == 0
    with room.taken_by(10):
        gpu["peak"] = 100 + 10 * 12
    assert room.values == 1200 // 2 // 12
    with room.taken_by(50):  # says nothing new
        gpu["peak"] = 10_000
    assert room.values == 50


def test_more_than_makes_a_gpu_busy_is_not_taken(gpu: dict[str, int]) -> None:
    gpu["free"] = 1 << 50
    room = Room(DEVICE)
    with room.taken_by(10):
        gpu["peak"] = 220
    assert room.values == MOST


def test_too_large_a_photo_is_said_in_a_sentence(gpu: dict[str, int]) -> None:
    room = Room(DEVICE)
    message = r"does not hold what the network makes of 24.0 megapixels at once; .*device 'cpu'"
    with pytest.raises(SsiqaError, match=message), room.taken_by(72_000_000):
        raise torch.OutOfMemoryError("CUDA out of memory.")
