"""Leave-one-out errors for a grid of gamma and alpha against scikit-learn and numpy, point by point."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics.pairwise import rbf_kernel

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
    if library != "ssiqa":
        operations = points * 8 / 3 * n**3  # of an inverse each
        measure(group, library, lambda: peers.leave_one_out(x, y, 1 / d, 0.1), scale=points, operations=operations)
        return
    found = measure(
        group,
        library,
        lambda: ssiqa.leave_one_out(x, y, gammas=GAMMAS / d, alphas=ALPHAS),
        operations=len(GAMMAS) * 8 / 3 * n**3,  # of a reduction and its orthogonal matrix each
    )
    benchmark.extra_info["difference"] = largest_difference(x, y, found.errors)


def largest_difference(x: NDArray[Any], y: NDArray[Any], errors: NDArray[Any]) -> float:
    """From refits without a few rows, relative to the largest error, at the corners of the grid."""
    largest = 0.0
    for g, a in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        for left_out in (0, len(y) // 2):
            rest = np.delete(np.arange(len(y)), left_out)
            mean = y[rest].mean()
            kernel = rbf_kernel(x[rest], gamma=GAMMAS[g] / x.shape[1])
            coef = np.linalg.solve(kernel + ALPHAS[a] * np.eye(len(rest)), y[rest] - mean)
            predicted = mean + rbf_kernel(x[[left_out]], x[rest], gamma=GAMMAS[g] / x.shape[1])[0] @ coef
            difference = abs(y[left_out] - predicted - errors[g, a, left_out])
            largest = max(largest, difference / np.abs(errors[g, a]).max())
    return largest
