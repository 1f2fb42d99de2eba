"""Leave-one-out errors for a grid against refits written out, and what must hold of them for any rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ssiqa import _core, band, leave_one_out, loo

Floats = NDArray[np.float64]


def problem(n: int, d: int, seed: int = 0) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seed)
    x = random.standard_normal((n, d)) + 3
    return x, 40 + 9 * np.sin(x[:, 0]) + random.standard_normal(n)


def kernel(x: Floats, gamma: float) -> Floats:
    return np.asarray(np.exp(-gamma * cdist(x, x, "sqeuclidean")))


def refits(x: Floats, y: Floats, gamma: float, alpha: float) -> Floats:
    """Errors of n fits, each of which knows nothing of the row left out."""
    k = kernel(x, gamma)
    errors = []
    for i in range(len(y)):
        rest = np.arange(len(y)) != i
        mean = y[rest].mean()
        coef = np.linalg.solve(k[np.ix_(rest, rest)] + alpha * np.eye(len(y) - 1), y[rest] - mean)
        errors.append(y[i] - mean - k[i, rest] @ coef)
    return np.array(errors)


def by_inverse(x: Floats, y: Floats, gamma: float, alpha: float) -> Floats:
    """The same by the inverse of the whole matrix, for more rows than can be refitted."""
    inverse = np.linalg.inv(kernel(x, gamma) + alpha * np.eye(len(y)))
    centred = y - y.mean()
    errors = inverse @ centred + centred / (len(y) - 1) * inverse.sum(axis=1)
    return np.asarray(errors / inverse.diagonal())


# Refits and inverse lose eps n / alpha to rounding, 1e-10 here, times the targets' 40.
@pytest.mark.parametrize("n", [2, 3, 15, 16, 17, 33, 60])
@pytest.mark.parametrize("twins", [False, True])
def test_equals_refits(n: int, twins: bool) -> None:
    x, y = problem(n, 4)
    if twins:
        x[: n // 2] = x[n - n // 2 :]
    gammas, alphas = [0.0, 1e-3, 0.3, 30.0], [1e-4, 1e-2, 10.0]
    found = leave_one_out(x, y, gammas=gammas, alphas=alphas)
    assert found.errors.shape == (4, 3, n)
    for row, gamma in enumerate(gammas):
        for column, alpha in enumerate(alphas):
            expected = refits(x, y, gamma, alpha)
            np.testing.assert_allclose(found.errors[row, column], expected, rtol=0, atol=1e-6)
            assert found.rmse[row, column] == pytest.approx(np.sqrt(np.mean(expected**2)), rel=1e-7)


# What is done for many rows, at sizes at which it can be checked: with float32 and without, blocks filled up and full.
@pytest.mark.parametrize("n", [65, 128, 311])
@pytest.mark.parametrize(("dimensions", "factor"), [(2, 1.0), (2, 30.0), (20, 0.1), (20, 1.0), (300, 1.0), (20, 100.0)])
@pytest.mark.parametrize("twins", [False, True])
def test_many_rows(monkeypatch: pytest.MonkeyPatch, n: int, dimensions: int, factor: float, twins: bool) -> None:
    monkeypatch.setattr(loo, "FEW_ROWS", 64)
    x, y = problem(n, dimensions)
    if twins:
        x[: n // 2] = x[n - n // 2 :]
    gamma = factor / float(np.median(cdist(x, x, "sqeuclidean")))
    alphas = [1e-6, 1e-4, 1e-3, 0.1, 10.0]
    # A row may be off by what the sample allows of its diagonal element, and by a factor of 5 that a sample can miss.
    for kept in (alphas[1:], alphas):
        found = leave_one_out(x, y, gammas=[gamma], alphas=kept)
        for alpha, errors, rmse in zip(kept, found.errors[0], found.rmse[0], strict=True):
            expected = by_inverse(x, y, gamma, alpha)
            tolerance = max(1e-6, 50 * n * 2.2e-16 / alpha)  # what the inverse itself loses, and some
            np.testing.assert_allclose(errors, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())
            assert rmse == pytest.approx(np.sqrt(np.mean(expected**2)), rel=tolerance)


# The real number of rows: each entry to what the docstring says.
def test_just_above_the_eigendecomposition() -> None:
    n, alphas = loo.FEW_ROWS + 1, [1e-3, 0.1, 10.0]
    x, y = problem(n, 20)
    gamma = 1 / float(np.median(cdist(x, x, "sqeuclidean")))
    found = leave_one_out(x, y, gammas=[gamma], alphas=alphas)
    for alpha, errors in zip(alphas, found.errors[0], strict=True):
        rounding = n * np.finfo(np.float64).eps / alpha * np.abs(y - y.mean()).max()
        np.testing.assert_allclose(errors, by_inverse(x, y, gamma, alpha), rtol=1e-6, atol=rounding)


def test_single_precision_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where float32 does not do, float64 is taken; a matrix that float32 gets wrong on purpose shows it."""
    monkeypatch.setattr(loo, "FEW_ROWS", 64)
    x, y = problem(300, 5)
    expected = leave_one_out(x, y, gammas=[0.1], alphas=[0.1]).rmse
    inverse_diagonal = band.inverse_diagonal

    def spoilt(reduced: band.Band, factors: band.Factors, rows: int, *, single: bool, threads: int) -> Floats:
        found = inverse_diagonal(reduced, factors, rows, single=single, threads=threads)
        return found * (1 + 1e-4 * np.random.default_rng(0).standard_normal(found.shape)) if single else found

    monkeypatch.setattr(band, "inverse_diagonal", spoilt)
    assert leave_one_out(x, y, gammas=[0.1], alphas=[0.1]).rmse == pytest.approx(expected, rel=2e-7)


def test_single_precision_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """On features that hang together float32 passes its check, so that nothing is computed twice."""
    calls = []
    inverse_diagonal = band.inverse_diagonal

    def counted(*args: object, single: bool, threads: int) -> Floats:
        calls.append(single)
        return inverse_diagonal(*args, single=single, threads=threads)

    monkeypatch.setattr(band, "inverse_diagonal", counted)
    x, y = problem(loo.FEW_ROWS + 1, 20)
    gamma = 1 / float(np.median(cdist(x, x, "sqeuclidean")))
    leave_one_out(x, y, gammas=gamma * np.array([0.25, 1.0, 4.0]), alphas=[1e-3, 0.1, 10.0])
    assert calls == [True, True, True]


@pytest.mark.parametrize(("few", "most"), [(1024, 40), (48, 300)])
@settings(max_examples=60, deadline=None)
@given(
    rows=st.floats(0, 1),
    d=st.integers(1, 5),
    seed=st.integers(0, 99),
    gamma=st.floats(0, 100),
    alpha=st.floats(1e-6, 1e3),
    offset=st.floats(-1e6, 1e6),
)
def test_of_any_rows(
    few: int, most: int, rows: float, d: int, seed: int, gamma: float, alpha: float, offset: float
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loo, "FEW_ROWS", few)
        holds_of_any_rows(2 + round(rows * (most - 2)), d, seed, gamma, alpha, offset)


def holds_of_any_rows(n: int, d: int, seed: int, gamma: float, alpha: float, offset: float) -> None:
    x, y = problem(n, d, seed)
    x[-1] = x[0]
    errors = leave_one_out(x, y, gammas=[gamma], alphas=[alpha]).errors[0, 0]
    assert np.isfinite(errors).all()
    # An offset of all targets cancels, to its own rounding: eps * 1e6, times at most 1 / alpha.
    moved = leave_one_out(x, y + offset, gammas=[gamma], alphas=[alpha]).errors[0, 0]
    np.testing.assert_allclose(moved, errors, rtol=0, atol=1e-9 * max(1, 1e-4 / alpha))
    order = np.random.default_rng(seed).permutation(n)
    shuffled = leave_one_out(x[order], y[order], gammas=[gamma], alphas=[alpha]).errors[0, 0]
    # Both are right to 1e-6 and to rounding: an orthogonal reduction is exactly that of a matrix within a small
    # multiple (ten, where K is all ones and alpha 1e-6) of eps |K| <= eps n.
    rounding = 16 * n * np.finfo(np.float64).eps / alpha * np.abs(y - y.mean()).max()
    np.testing.assert_allclose(shuffled, errors[order], rtol=2e-6, atol=1e-9 + 2 * rounding)


@pytest.mark.parametrize("few", [64, 1024])
def test_threads_do_not_matter(monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(loo, "FEW_ROWS", few)
    x, y = problem(150, 3)
    tables = []
    for threads in (1, 5):  # two for each gamma
        monkeypatch.setattr(_core, "n_threads", lambda threads=threads: threads)
        tables.append(leave_one_out(x, y, gammas=[0.1, 1.0], alphas=[1e-3, 1.0]).errors)
    np.testing.assert_array_equal(*tables)


def test_threads_fit_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_core, "n_threads", lambda: 8)
    taken = loo.BYTES_PER_PAIR * 50**2 + loo.BYTES_PER_ALPHA * 50 * 4
    for available, workers in ((0, 1), (3 * taken, 3), (1 << 40, 8)):
        monkeypatch.setattr(loo, "available_memory", lambda available=available: available)
        assert loo._workers(50, 4) == workers


@pytest.mark.parametrize("exponent", [515, -538, 1000])
def test_the_unit_of_y_does_not_matter(exponent: int) -> None:
    x, y = problem(50, 3)
    unit = leave_one_out(x, y, gammas=[0.1, 1.0], alphas=[0.1, 1.0])
    scaled = leave_one_out(x, np.ldexp(y, exponent), gammas=[0.1, 1.0], alphas=[0.1, 1.0])
    np.testing.assert_array_equal(scaled.errors, np.ldexp(unit.errors, exponent))
    np.testing.assert_array_equal(scaled.rmse, np.ldexp(unit.rmse, exponent))


@pytest.mark.parametrize("few", [64, 1024])
def test_a_singular_matrix_is_infinitely_bad(monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(loo, "FEW_ROWS", few)
    x, y = problem(140, 3)
    x[7] = x[5]
    found = leave_one_out(x, y, gammas=[0.0, 0.1, 1e5], alphas=[0.0, 1e-20, 0.1])
    assert np.isinf(found.rmse[:, :2]).all()
    assert np.isfinite(found.rmse[:, 2]).all()
    # Rows far apart need no penalty.
    far = leave_one_out(100 * np.arange(140.0)[:, None], y, gammas=[1.0], alphas=[0.0])
    expected = [y[i] - np.delete(y, i).mean() for i in range(140)]
    np.testing.assert_allclose(far.errors[0, 0], expected, rtol=1e-12)


def test_refusals() -> None:
    x, y = problem(5, 2)
    for wrong in (y[:4], y[:, None]):
        with pytest.raises(ValueError, match=r"x must be \(n, d\) and y \(n,\)"):
            leave_one_out(x, wrong, gammas=[1.0], alphas=[1.0])
    with pytest.raises(ValueError, match="n at least 2"):
        leave_one_out(x[:1], y[:1], gammas=[1.0], alphas=[1.0])
    with pytest.raises(ValueError, match="y must hold finite numbers"):
        leave_one_out(x, np.full(5, np.nan), gammas=[1.0], alphas=[1.0])
    with pytest.raises(ValueError, match="finite"):
        leave_one_out(np.full((5, 2), np.inf), y, gammas=[1.0], alphas=[1.0])
    with pytest.raises(ValueError, match="gammas must be a list of finite numbers"):
        leave_one_out(x, y, gammas=[-1.0], alphas=[1.0])
    with pytest.raises(ValueError, match="alphas must be a list of finite numbers"):
        leave_one_out(x, y, gammas=[1.0], alphas=1.0)
