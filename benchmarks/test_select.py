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


@pytest.mark.slow
@pytest.mark.parametrize("library", ["ssiqa", "numpy", "torch"])
def test_select_large(measure: Measure, library: str) -> None:
    run(measure, library, 100_000_000, np.float32)
