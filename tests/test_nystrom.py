"""The Nystrom solution against the exact one and against its own equations, written out."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.exceptions import ConvergenceWarning

from ssiqa import nystrom
from ssiqa.krr import KernelRidge

Floats = NDArray[np.float64]


def problem(n: int, d: int = 3, seed: int = 0) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seed)
    x = random.standard_normal((n, d)) + 3
    return x, np.sin(2 * x[:, 0]) + x[:, 1] + 0.1 * random.standard_normal(n)


def kernel(x: Floats, z: Floats, gamma: float) -> Floats:
    return np.asarray(np.exp(-gamma * cdist(x, z, "sqeuclidean")))


# K_MM of a smooth kernel is singular to rounding: the jitter of M eps moves the solution by its root at most, 3e-7.
@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(2, 120),
    d=st.integers(1, 4),
    gamma=st.floats(0.01, 10),
    alpha=st.floats(1e-3, 10),
    twins=st.booleans(),
)
def test_all_rows_as_centres_are_the_exact_solution(n: int, d: int, gamma: float, alpha: float, twins: bool) -> None:
    x, y = problem(n, max(2, d))
    if twins:
        x[: n // 2] = x[n - n // 2 :]
    unseen = problem(50, max(2, d), seed=1)[0]
    exact = KernelRidge(gamma, alpha, solver="cholesky").fit(x, y)
    centres = KernelRidge(gamma, alpha, solver="nystrom", n_components=n).fit(x, y)
    assert (centres.solver_, centres.n_components_) == ("nystrom", n)
    np.testing.assert_allclose(centres.predict(unseen), exact.predict(unseen), rtol=0, atol=1e-5)
    assert centres.scale_ == pytest.approx(exact.scale_, rel=1e-5, abs=1e-9)


def test_keeps_of_the_kernel_what_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights with all, some or no blocks kept; only what is not kept is computed at each step."""
    monkeypatch.setattr(nystrom, "CHUNK", 100)
    x, y = problem(450)
    centres = x[::9].copy()
    computed = 0
    rbf_kernel = nystrom.kernels.rbf_kernel

    def counted(*args: Floats, gamma: float) -> Floats:
        nonlocal computed
        computed += len(args) == 2
        return np.asarray(rbf_kernel(*args, gamma=gamma))

    monkeypatch.setattr(nystrom.kernels, "rbf_kernel", counted)
    found, counts = [], []
    for blocks in (0, 2, 5):
        computed = 0
        memory = 4 * blocks * 100 * len(centres) * 8
        monkeypatch.setattr(nystrom, "available_memory", lambda memory=memory: memory)
        found.append(nystrom.solve(x, y, centres, gamma=0.5, alpha=0.1))
        counts.append(computed)
    np.testing.assert_array_equal(found[0].coef, found[1].coef)
    np.testing.assert_array_equal(found[0].coef, found[2].coef)
    passes = found[0].iterations + 1
    assert counts == [5 * passes, 3 * passes + 2, 5]


@pytest.mark.parametrize("alpha", [1e-4, 0.1])
def test_solves_its_own_equations(monkeypatch: pytest.MonkeyPatch, alpha: float) -> None:
    monkeypatch.setattr(nystrom, "CHUNK", 97)  # the last chunk is not full
    x, y = problem(500)
    centres = x[::9]
    found = nystrom.solve(x, y, centres, gamma=0.5, alpha=alpha)
    tall, square = kernel(x, centres, 0.5), kernel(centres, centres, 0.5)
    penalty = np.sqrt(alpha) * np.linalg.cholesky(square + 1e-14 * np.eye(len(square))).T
    stacked = np.concatenate([y, np.zeros(len(square))])
    expected = tall @ np.linalg.lstsq(np.vstack([tall, penalty]), stacked)[0]
    np.testing.assert_allclose(tall @ found.coef, expected, rtol=0, atol=1e-6)
    low_rank = tall @ np.linalg.solve(square + 1e-13 * np.eye(len(square)), tall.T) + alpha * np.eye(len(x))
    assert found.amplitude == pytest.approx(y @ np.linalg.solve(low_rank, y) / len(y), rel=1e-5)
    assert found.iterations < 100

    unseen = np.vstack([problem(60, seed=1)[0], x[:5] + 100])
    k = kernel(unseen, centres, 0.5)
    inner = np.linalg.inv(tall.T @ tall + alpha * square)
    variance = 1 - np.einsum("im,mj,ij->i", k, np.linalg.pinv(square, rcond=1e-13), k)
    variance += alpha * np.einsum("im,mj,ij->i", k, inner, k)
    known = nystrom.posterior(x, centres, gamma=0.5, alpha=alpha)
    np.testing.assert_allclose(nystrom.variance(known, centres, unseen, gamma=0.5), variance, rtol=0, atol=1e-5)


def test_more_centres_are_better() -> None:
    x, y = problem(900)
    unseen, truth = problem(400, seed=1)
    exact = KernelRidge(0.5, 0.01, solver="cholesky").fit(x, y)
    gaps = []
    for count in (10, 40, 160, 640):
        model = KernelRidge(0.5, 0.01, solver="nystrom", n_components=count).fit(x, y)
        assert model.X_fit_.shape == (count, 3)
        gaps.append(float(np.sqrt(np.mean((model.predict(unseen) - exact.predict(unseen)) ** 2))))
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.01 < gaps[0]
    assert np.sqrt(np.mean((model.predict(unseen) - truth) ** 2)) < 0.2


def test_centres_are_seeded_rows() -> None:
    x, y = problem(200)
    first, again, other = (
        KernelRidge(0.5, 0.1, random_state=seed, solver="nystrom", n_components=50).fit(x, y) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.dual_coef_, again.dual_coef_)
    assert not np.array_equal(first.X_fit_, other.X_fit_)
    rows = {tuple(row) for row in x}
    assert len({tuple(row) for row in first.X_fit_}) == 50
    assert all(tuple(row) in rows for row in first.X_fit_)


def test_single_precision_agrees() -> None:
    x, y = problem(600)
    double = KernelRidge(0.5, 0.01, solver="nystrom", n_components=200).fit(x, y)
    single = KernelRidge(0.5, 0.01, solver="nystrom", n_components=200).fit(x.astype(np.float32), y)
    predicted, std = single.predict(x[:50].astype(np.float32), return_std=True)
    assert predicted.dtype == std.dtype == np.float32
    np.testing.assert_allclose(predicted, double.predict(x[:50]), rtol=0, atol=1e-5)


def test_says_when_it_did_not_get_there(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = problem(300)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        nystrom.solve(x, y, x[::10], gamma=0.5, alpha=1e-3)
    monkeypatch.setattr(nystrom, "MAX_ITERATIONS", 1)
    with pytest.warns(ConvergenceWarning, match="after 1 steps; use a larger alpha or more components"):
        found = nystrom.solve(x, y, x[::10], gamma=0.5, alpha=1e-3)
    assert np.isfinite(found.coef).all()
