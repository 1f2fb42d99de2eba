"""Problems so small that the call itself counts."""

from __future__ import annotations

import pytest

from benchmarks import peers
from benchmarks.conftest import Measure
from benchmarks.problems import features, vector
from ssiqa import kernels


@pytest.mark.parametrize("library", ["ssiqa", "numpy"])
@pytest.mark.parametrize(("n", "m", "d"), [(80, 1_000, 192), (1, 1, 1)])
def test_small(measure: Measure, library: str, n: int, m: int, d: int) -> None:
    z, x, coef = features(n, d), features(m, d, seed=1), vector(n)
    function = kernels.rbf_matvec if library == "ssiqa" else peers.numpy_predict
    measure(
        f"small n={n} m={m} d={d} float32",
        library,
        lambda: function(x, z, coef, gamma=1 / d),
        operations=2.0 * n * m * d,
        iterations=200,
        rounds=15,
    )
