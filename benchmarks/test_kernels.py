"""The native kernels beside what they replace, in one run: compare within a group, not across machines."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import kernel_ridge
from sklearn.metrics import pairwise

from ssiqa import kernels

DTYPES = [np.float32, np.float64]
SIZES = [(2000, 192), (2000, 1280), (8000, 192)]
ROUNDS = {"rounds": 3, "warmup_rounds": 1, "iterations": 1}


def rows(n: int, d: int, dtype: Any, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


def label(name: str, n: int, d: int, dtype: Any) -> str:
    return f"{name} {np.dtype(dtype).name} n={n} d={d}"


@pytest.mark.parametrize("library", ["ssiqa", "sklearn"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "d"), SIZES)
def test_rbf_kernel(benchmark: Any, library: str, n: int, d: int, dtype: Any) -> None:
    benchmark.group = label("rbf_kernel", n, d, dtype)
    x, y = rows(n, d, dtype), rows(n, d, dtype, 1)
    function = kernels.rbf_kernel if library == "ssiqa" else pairwise.rbf_kernel
    benchmark.pedantic(lambda: function(x, y, gamma=1 / d), **ROUNDS)


@pytest.mark.parametrize("library", ["ssiqa", "sklearn"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "d"), SIZES)
def test_rbf_kernel_symmetric(benchmark: Any, library: str, n: int, d: int, dtype: Any) -> None:
    benchmark.group = label("rbf_kernel of x with itself", n, d, dtype)
    x = rows(n, d, dtype)
    function = kernels.rbf_kernel if library == "ssiqa" else pairwise.rbf_kernel
    benchmark.pedantic(lambda: function(x, gamma=1 / d), **ROUNDS)


@pytest.mark.parametrize("library", ["ssiqa", "sklearn"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "d"), SIZES)
def test_rbf_matvec(benchmark: Any, library: str, n: int, d: int, dtype: Any) -> None:
    benchmark.group = label("rbf_matvec", n, d, dtype)
    x, z, coef = rows(n, d, dtype), rows(n, d, dtype, 1), rows(n, 1, dtype, 2)[:, 0]
    if library == "ssiqa":
        benchmark.pedantic(lambda: kernels.rbf_matvec(x, z, coef, gamma=1 / d), **ROUNDS)
    else:
        benchmark.pedantic(lambda: pairwise.rbf_kernel(x, z, gamma=1 / d) @ coef, **ROUNDS)


@pytest.mark.parametrize("library", ["ssiqa", "sklearn"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "d"), [(2000, 192), (2000, 1280)])
def test_krr_fit(benchmark: Any, library: str, n: int, d: int, dtype: Any) -> None:
    benchmark.group = label("krr_fit", n, d, dtype)
    x, y = rows(n, d, dtype), rows(n, 1, dtype, 1)[:, 0]
    if library == "ssiqa":
        benchmark.pedantic(lambda: kernels.krr_fit(x, y, gamma=1 / d, alpha=0.1), **ROUNDS)
    else:
        model = kernel_ridge.KernelRidge(kernel="rbf", gamma=1 / d, alpha=0.1)
        benchmark.pedantic(lambda: model.fit(x, y), **ROUNDS)


@pytest.mark.parametrize("library", ["ssiqa", "numpy"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2_000, 8_000, 100_000, 4_000_000])
def test_smallest_difference(benchmark: Any, library: str, n: int, dtype: Any) -> None:
    k = n // 100
    benchmark.group = f"smallest_difference {np.dtype(dtype).name} n={n} k={k}"
    pred, target = rows(2, n, dtype)
    rounds = {"rounds": 50 if n < 1_000_000 else 9, "warmup_rounds": 2, "iterations": 1}
    if library == "ssiqa":
        benchmark.pedantic(lambda: kernels.smallest_difference(pred, target, k), **rounds)
    else:  # in no order, and with arbitrary ties
        benchmark.pedantic(lambda: np.argpartition(np.abs(pred - target), k)[:k], **rounds)
