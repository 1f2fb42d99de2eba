"""Coefficients for a given gamma and alpha against scikit-learn and torch, with the residual that each leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel

from benchmarks import peers
from benchmarks.conftest import Measure
from benchmarks.problems import features, targets
from ssiqa import kernels

ALPHA = 0.1


def relative_residual(x: NDArray[Any], y: NDArray[Any], coef: NDArray[Any], gamma: float) -> float:
    """|(K + alpha I) coef - y| / |y| in float64."""
    kernel = rbf_kernel(x.astype(np.float64), gamma=gamma)
    rest = kernel @ coef.astype(np.float64) + ALPHA * coef - y
    return float(np.linalg.norm(rest) / np.linalg.norm(y))


def run(measure: Measure, benchmark: Any, library: str, n: int, d: int, dtype: Any, rounds: int) -> None:
    x, gamma = features(n, d, dtype), 1 / d
    y = targets(x)
    model = KernelRidge(kernel="rbf", gamma=gamma, alpha=ALPHA)
    calls = {
        "ssiqa": lambda: kernels.krr_fit(x, y, gamma=gamma, alpha=ALPHA),
        "sklearn": lambda: model.fit(x, y).dual_coef_,
        "torch": lambda: peers.torch_fit(torch.from_numpy(x), torch.from_numpy(y), gamma, ALPHA).numpy(),
    }
    coef = measure(
        f"fit n={n} d={d} {np.dtype(dtype).name}",
        library,
        calls[library],
        operations=n * n * d + n**3 / 3,
        rounds=rounds,
    )
    benchmark.extra_info["residual"] = relative_residual(x, y, coef, gamma)


@pytest.mark.parametrize("library", ["ssiqa", "sklearn", "torch"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("n", "d"), [(80, 192), (2_048, 192), (8_192, 384)])
def test_fit(measure: Measure, benchmark: Any, library: str, n: int, d: int, dtype: Any) -> None:
    run(measure, benchmark, library, n, d, dtype, rounds=5)


@pytest.mark.slow
@pytest.mark.parametrize("library", ["ssiqa", "sklearn"])
def test_fit_large(measure: Measure, benchmark: Any, library: str) -> None:
    run(measure, benchmark, library, 20_000, 384, np.float64, rounds=1)


@pytest.mark.parametrize("library", ["ssiqa", "numpy"])
@pytest.mark.parametrize(("b", "n", "d"), [(64, 80, 192), (16, 512, 192)])
def test_fit_batched(measure: Measure, library: str, b: int, n: int, d: int) -> None:
    x = features(b * n, d, np.float64).reshape(b, n, d)
    y = np.stack([targets(part) for part in x])

    def loop() -> NDArray[Any]:
        kernels_of_all = [rbf_kernel(part, gamma=1 / d) + ALPHA * np.eye(n) for part in x]
        return np.stack([np.linalg.solve(kernel, t) for kernel, t in zip(kernels_of_all, y, strict=True)])

    call = loop if library == "numpy" else (lambda: kernels.krr_fit(x, y, gamma=1 / d, alpha=ALPHA))
    measure(f"fit {b} problems n={n} d={d} float64", library, call, operations=b * (n * n * d + n**3 / 3))
