"""Whole kernel matrices, one or many, against scikit-learn and torch."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics.pairwise import rbf_kernel

from benchmarks.conftest import Measure
from benchmarks.problems import features
from ssiqa import kernels


@pytest.mark.parametrize("library", ["ssiqa", "sklearn", "torch"])
def test_kernel_of_rows_with_themselves(measure: Measure, library: str) -> None:
    n, d = 4_096, 384
    x = features(n, d)
    tensor = torch.from_numpy(x)
    calls = {
        "ssiqa": lambda: kernels.rbf_kernel(x, gamma=1 / d),
        "sklearn": lambda: rbf_kernel(x, gamma=1 / d),
        "torch": lambda: torch.cdist(tensor, tensor).square_().mul_(-1 / d).exp_(),
    }
    measure(f"kernel n={n} d={d} float32", library, calls[library], operations=2.0 * n * n * d)


@pytest.mark.parametrize("library", ["ssiqa", "torch"])
def test_batched_kernels(measure: Measure, library: str) -> None:
    b, n, d = 64, 256, 192
    x = torch.from_numpy(features(b * n, d)).reshape(b, n, d)
    calls = {
        "ssiqa": lambda: kernels.rbf_kernel(x, gamma=1 / d),
        "torch": lambda: torch.cdist(x, x).square_().mul_(-1 / d).exp_(),
    }
    measure(f"kernel {b} problems n={n} d={d} float32", library, calls[library], operations=2.0 * b * n * n * d)
