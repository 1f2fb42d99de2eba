"""What must hold of dual coefficients for any rows."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ssiqa import kernels

Floats = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)

problems = st.tuples(
    st.integers(2, 80), st.integers(1, 5), st.integers(0, 2**32 - 1), st.floats(1e-3, 1), st.floats(1e-3, 10)
)


def rows_and_targets(n: int, d: int, seed: int) -> tuple[Floats, Floats]:
    """Rows on a grid of 2^-10, so that a whole number up to 2^40 can be added without rounding."""
    random = np.random.default_rng(seed)
    return np.round(random.standard_normal((n, d)) * 1024) / 1024, random.standard_normal((n, 2))


def tolerance(n: int, alpha: float, y: Floats) -> float:
    """Of a coefficient c = G y, G = (K + alpha I)^-1, of which both K and the residual are rounded.

    |G dK c| is at most |dK| |c| / alpha with |c| at most |y| / alpha. An entry of K is off by a few eps times gamma
    |x|^2, 100 here, and |dK| is at most n times that; the residual is no larger.
    """
    return float(200 * n * EPS / alpha**2 * np.linalg.norm(y))


@given(problems)
@settings(max_examples=60, deadline=None)
def test_order_of_rows(problem: tuple[int, int, int, float, float]) -> None:
    n, d, seed, gamma, alpha = problem
    x, y = rows_and_targets(n, d, seed)
    order = np.random.default_rng(seed).permutation(n)
    expected = kernels.krr_fit(x, y, gamma=gamma, alpha=alpha)[order]
    found = kernels.krr_fit(x[order], y[order], gamma=gamma, alpha=alpha)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance(n, alpha, y))


@given(problems, st.floats(-100, 100), st.floats(-100, 100))
@settings(max_examples=60, deadline=None)
def test_linear_in_the_targets(problem: tuple[int, int, int, float, float], a: float, b: float) -> None:
    n, d, seed, gamma, alpha = problem
    x, y = rows_and_targets(n, d, seed)
    mixed = kernels.krr_fit(x, y @ np.array([a, b]), gamma=gamma, alpha=alpha)
    expected = kernels.krr_fit(x, y, gamma=gamma, alpha=alpha) @ np.array([a, b])
    np.testing.assert_allclose(mixed, expected, rtol=0, atol=(abs(a) + abs(b)) * tolerance(n, alpha, y))


@given(problems, st.integers(-(2**40), 2**40))
@settings(max_examples=60, deadline=None)
def test_translation_of_rows(problem: tuple[int, int, int, float, float], offset: int) -> None:
    n, d, seed, gamma, alpha = problem
    x, y = rows_and_targets(n, d, seed)
    expected = kernels.krr_fit(x, y, gamma=gamma, alpha=alpha)
    moved = kernels.krr_fit(x + offset, y, gamma=gamma, alpha=alpha)
    np.testing.assert_allclose(moved, expected, rtol=0, atol=tolerance(n, alpha, y))
