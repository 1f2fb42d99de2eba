"""Fused predict K(x, z) @ coef against scikit-learn, blocked torch and KeOps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import peers
from benchmarks.conftest import Measure
from benchmarks.problems import features, vector
from ssiqa import kernels

SIZES = [(1_600, 20_000, 192), (8_192, 100_000, 384), (8_192, 20_000, 768)]
LARGE = [(80_640, 100_000, 192), (8_192, 1_000_000, 384)]  # scikit-learn would need 32 GB for K
LIBRARIES = ["ssiqa", "sklearn", "torch"]


def operations(n: int, m: int, d: int) -> float:
    return 2.0 * n * m * d


def run(measure: Measure, library: str, n: int, m: int, d: int, rounds: int) -> None:
    z, x, coef, gamma = features(n, d), features(m, d, seed=1), vector(n), 1 / d
    tensors = [torch.from_numpy(part) for part in (x, z, coef)]
    model = peers.fitted(z, coef, gamma)
    calls = {
        "ssiqa": lambda: kernels.rbf_matvec(x, z, coef, gamma=gamma),
        "sklearn": lambda: model.predict(x),
        "torch": lambda: peers.torch_predict(*tensors, gamma).numpy(),
    }
    result = measure(
        f"predict n={n} m={m} d={d} float32",
        library,
        calls[library],
        operations=operations(n, m, d),
        rounds=rounds,
    )
    some = np.arange(0, m, m // 50)
    expected = peers.numpy_predict(x[some].astype(np.float64), z.astype(np.float64), coef.astype(np.float64), gamma)
    np.testing.assert_allclose(np.asarray(result)[some], expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(("n", "m", "d"), SIZES)
def test_predict(measure: Measure, library: str, n: int, m: int, d: int) -> None:
    run(measure, library, n, m, d, rounds=5)


@pytest.mark.slow
@pytest.mark.parametrize("library", ["ssiqa", "torch"])
@pytest.mark.parametrize(("n", "m", "d"), LARGE)
def test_predict_beyond_memory(measure: Measure, library: str, n: int, m: int, d: int) -> None:
    run(measure, library, n, m, d, rounds=1)


@pytest.mark.parametrize("library", ["ssiqa", "keops"])
def test_predict_keops(measure: Measure, library: str) -> None:
    """On a size of its own: KeOps uses no matrix products on a CPU, and would take hours on the others."""
    n, m, d = 1_000, 1_000, 384
    z, x, coef = (torch.from_numpy(part) for part in (features(n, d), features(m, d, seed=1), vector(n)))

    def lazy() -> Any:
        symbolic = pytest.importorskip("pykeops.torch", reason="pykeops is not installed").LazyTensor
        distances = ((symbolic(x[:, None, :]) - symbolic(z[None])) ** 2).sum(-1)
        return (-distances / d).exp() @ coef[:, None]

    call = lazy if library == "keops" else (lambda: kernels.rbf_matvec(x, z, coef, gamma=1 / d))
    measure(f"predict n={n} m={m} d={d} float32", library, call, operations=operations(n, m, d))
