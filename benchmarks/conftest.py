"""One thread count for all libraries, and a fixture that times a call and takes its memory."""

from __future__ import annotations

import gc
import os
import platform
import statistics
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest
import torch
from threadpoolctl import threadpool_limits

from benchmarks import memory
from ssiqa import _core

ROUNDS = 5


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    machine_info["ssiqa"] = {
        "isa": _core.isa(),
        "threads": _core.n_threads(),
        "features": _core.cpu_features(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
    }


@pytest.fixture(autouse=True, scope="session")
def same_threads() -> Iterator[None]:
    torch.set_num_threads(_core.n_threads())
    with threadpool_limits(_core.n_threads()):
        yield


class Measure(Protocol):
    def __call__(self, group: str, library: str, call: Callable[[], Any], **facts: Any) -> Any: ...


@pytest.fixture
def measure(benchmark: Any) -> Measure:
    """Times `call` and returns what it returned.

    The first call, not timed, is the one whose memory is taken. Facts kept beside the times: `operations` (floating
    point operations of the textbook form) or `bytes` (that must be moved), and `scale` (how often the call would have
    to be made for the whole job).
    """

    def run(group: str, library: str, call: Callable[[], Any], **facts: Any) -> Any:
        gc.collect()
        memory.reset_peak()
        before = memory.resident()
        result = call()
        benchmark.group = group
        benchmark.extra_info.update(facts, library=library, workspace=max(memory.peak() - before, 0))
        benchmark.pedantic(call, rounds=facts.get("rounds", ROUNDS), iterations=facts.get("iterations", 1))
        benchmark.extra_info["median"] = statistics.median(benchmark.stats.stats.data) * facts.get("scale", 1)
        return result

    return run
