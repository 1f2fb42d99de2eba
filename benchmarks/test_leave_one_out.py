"""Leave-one-out errors for a grid of gamma and alpha against scikit-learn and numpy, point by point."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ssiqa
from benchmarks import peers
from benchmarks.conftest import Measure
from benchmarks.problems import features, targets

GAMMAS = 2.0 ** np.arange(-4, 4)
ALPHAS = np.logspace(-4, 1, 8)


@pytest.mark.parametrize("library", ["ssiqa", "sklearn + numpy, one point x 64"])
@pytest.mark.parametrize(("n", "d"), [(1_600, 192), (4_096, 384)])
def test_leave_one_out(measure: Measure, benchmark: Any, library: str, n: int, d: int) -> None:
    """The other way takes the same time at every point of the grid: one is timed, and counted as often as there are."""
    x = features(n, d, np.float64)
    y = targets(x)
    y -= y.mean()
    points = len(GAMMAS) * len(ALPHAS)
    group = f"leave-one-out {len(GAMMAS)} gammas x {len(ALPHAS)} alphas n={n} d={d} float64"
    if library == "ssiqa":
        measure(group, library, lambda: ssiqa.leave_one_out(x, y, gammas=GAMMAS / d, alphas=ALPHAS))
    else:
        measure(group, library, lambda: peers.leave_one_out(x, y, 1 / d, 0.1), scale=points)
