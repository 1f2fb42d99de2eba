"""The k smallest |pred - target| against numpy's argpartition and torch's topk."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import peers
from benchmarks.conftest import Measure
from benchmarks.problems import vector
from ssiqa import kernels


def run(measure: Measure, library: str, n: int, dtype: Any) -> None:
    k = n // 100
    a, b = vector(n, dtype), vector(n, dtype, seed=1)
    tensors = torch.from_numpy(a), torch.from_numpy(b)
    calls = {
        "ssiqa": lambda: kernels.smallest_difference(a, b, k),
        "numpy": lambda: peers.numpy_select(a, b, k),
        "torch": lambda: peers.torch_select(*tensors, k).numpy(),
    }
    iterations = max(1, 1_000_000 // n)
    chosen = measure(
        f"select n={n} k={k} {np.dtype(dtype).name}",
        library,
        calls[library],
        bytes=2 * a.nbytes,
        iterations=iterations,
    )
    differences = np.abs(a - b)
    assert differences[chosen].max() <= np.partition(differences, k)[k]


@pytest.mark.parametrize("library", ["ssiqa", "numpy", "torch"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [10_000, 100_000, 1_000_000, 10_000_000])
def test_select(measure: Measure, library: str, n: int, dtype: Any) -> None:
    run(measure, library, n, dtype)


@pytest.mark.parametrize("library", ["ssiqa", "torch"])
def test_select_from_a_stream(measure: Measure, library: str) -> None:
    """Chunks of which only the smallest differences are kept; torch keeps those of the chunks and selects again."""
    n, chunk, k = 10_000_000, 100_000, 10_000
    a, b = vector(n), vector(n, seed=1)
    parts = [slice(start, start + chunk) for start in range(0, n, chunk)]

    def ours() -> Any:
        selection = kernels.SmallestDifference(k)
        for part in parts:
            selection.update(a[part], b[part])
        return selection.differences

    def theirs() -> Any:
        kept = torch.empty(0)
        for part in parts:
            new = (torch.from_numpy(a[part]) - torch.from_numpy(b[part])).abs()
            both = torch.cat([kept, new])
            kept = torch.topk(both, min(k, len(both)), largest=False).values
        return kept.numpy()

    call = ours if library == "ssiqa" else theirs
    found = measure(f"select stream n={n} chunks of {chunk} k={k} float32", library, call, bytes=2 * a.nbytes)
    assert found.max() == np.partition(np.abs(a - b), k - 1)[k - 1]


@pytest.mark.slow
@pytest.mark.parametrize("library", ["ssiqa", "numpy", "torch"])
def test_select_large(measure: Measure, library: str) -> None:
    run(measure, library, 100_000_000, np.float32)
