"""Kernel ridge regression on centres against scikit-learn's Nystroem and Ridge, with the error beside the time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

import ssiqa
from benchmarks.conftest import Measure
from benchmarks.problems import features, targets

ALPHA = 1.0


@pytest.mark.parametrize("library", ["ssiqa", "sklearn"])
@pytest.mark.parametrize(("n", "centres", "d"), [(30_000, 1_000, 192)])
def test_nystrom(measure: Measure, benchmark: Any, library: str, n: int, centres: int, d: int) -> None:
    rows = features(n + 2_000, d, np.float64)
    x, others = rows[:n], rows[n:]
    y = targets(rows)
    models = {
        "ssiqa": ssiqa.KernelRidge(1 / d, ALPHA, solver="nystrom", n_components=centres),
        "sklearn": make_pipeline(
            Nystroem(gamma=1 / d, n_components=centres, random_state=0), Ridge(ALPHA, solver="cholesky")
        ),
    }
    model = measure(f"nystrom n={n} {centres} centres d={d} float64", library, lambda: models[library].fit(x, y[:n]))
    error = float(np.sqrt(np.mean((model.predict(others) - y[n:]) ** 2)))
    benchmark.extra_info["error"] = error
    assert error < 0.9 * y.std()
