"""The variance of predictions from a factor that is there already, against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import solve_triangular
from sklearn.metrics.pairwise import rbf_kernel

from benchmarks.conftest import Measure
from benchmarks.problems import features
from ssiqa import kernels

ALPHA = 0.1


@pytest.mark.parametrize("library", ["ssiqa", "sklearn + scipy"])
@pytest.mark.parametrize(("n", "m", "d"), [(1_600, 2_000, 192), (4_096, 10_000, 384)])
def test_variance(measure: Measure, library: str, n: int, m: int, d: int) -> None:
    z, x, gamma = features(n, d, np.float64), features(m, d, np.float64, seed=1), 1 / d
    factor = kernels.krr_factor(z, gamma=gamma, alpha=ALPHA)
    lower = np.linalg.cholesky(rbf_kernel(z, gamma=gamma) + ALPHA * np.eye(n))
    calls = {
        "ssiqa": lambda: factor.variance(x),
        "sklearn + scipy": lambda: (
            1 - (solve_triangular(lower, rbf_kernel(z, x, gamma=gamma), lower=True) ** 2).sum(axis=0)
        ),
    }
    group = f"variance n={n} m={m} d={d} float64"
    found = measure(group, library, calls[library], operations=float(n) * m * (n + 2 * d))
    np.testing.assert_allclose(found[:50], calls["sklearn + scipy"]()[:50], rtol=0, atol=1e-9)
