"""The estimator against refits written out, scikit-learn's own, and scikit-learn's contract."""

import copy
import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal
from sklearn import kernel_ridge
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.utils.estimator_checks import parametrize_with_checks

from ssiqa import kernels, krr
from ssiqa.errors import IllConditionedError
from ssiqa.krr import ALPHAS, KernelRidge


def problem(n: int, d: int = 6, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    random = np.random.default_rng(seed)
    x = random.standard_normal((n, d)) * np.arange(1, d + 1) + 5
    return x, 40 + 9 * np.sin(x[:, 0]) + x[:, 1] + random.standard_normal(n)


def kernel(x: NDArray[np.float64], z: NDArray[np.float64], gamma: float) -> NDArray[np.float64]:
    return np.exp(-gamma * ((x[:, None] - z[None]) ** 2).sum(axis=-1))


def refitted_error(x: NDArray[np.float64], y: NDArray[np.float64], gamma: float, alpha: float) -> float:
    """Leave-one-out by n fits that know nothing of the row left out."""
    residuals = []
    for i in range(len(y)):
        rest = np.arange(len(y)) != i
        mean = y[rest].mean()
        coef = np.linalg.solve(kernel(x[rest], x[rest], gamma) + alpha * np.eye(len(y) - 1), y[rest] - mean)
        residuals.append(y[i] - mean - kernel(x[[i]], x[rest], gamma)[0] @ coef)
    return float(np.sqrt(np.mean(np.square(residuals))))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([KernelRidge(), KernelRidge(solver="nystrom")])
def test_estimator_contract(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("given", [{"gamma": 1e-3}, {"gamma": 0.1}, {"gamma": 3.0}, {"alpha": 0.1}, {"alpha": 10.0}])
def test_leave_one_out_equals_refits(given: dict[str, float]) -> None:
    x, y = problem(30)
    model = KernelRidge(**given).fit(x, y)
    assert model.loo_rmse_ == pytest.approx(refitted_error(model.X_fit_, y, model.gamma_, model.alpha_), rel=1e-8)
    assert model.n_selection_ == 30


def test_no_error_is_computed_without_a_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(krr, "from_distances")
    model = KernelRidge(gamma=0.1, alpha=0.1).fit(*problem(30))
    assert (model.gamma_, model.alpha_, model.loo_rmse_, model.n_selection_) == (0.1, 0.1, None, 0)


# A power of two moves no digit, however large; 2^515 and 2^-538 are about 1e155 and 1e-162.
@pytest.mark.parametrize("exponent", [515, -538, 1000])
@pytest.mark.parametrize("solver", ["cholesky", "nystrom"])
@pytest.mark.parametrize("settings", [{}, {"gamma": 0.05, "alpha": 0.1}])
def test_the_unit_of_y_does_not_matter(exponent: int, solver: str, settings: dict[str, float]) -> None:
    x, y = problem(40)
    unit = KernelRidge(**settings, solver=solver, n_components=20).fit(x, y)
    scaled = KernelRidge(**settings, solver=solver, n_components=20).fit(x, np.ldexp(y, exponent))
    assert (scaled.gamma_, scaled.alpha_) == (unit.gamma_, unit.alpha_)
    assert scaled.scale_ == np.ldexp(unit.scale_, exponent)
    assert unit.loo_rmse_ is None or scaled.loo_rmse_ == np.ldexp(unit.loo_rmse_, exponent)
    for got, expected in zip(scaled.predict(x, True), unit.predict(x, True), strict=True):
        np.testing.assert_allclose(got, np.ldexp(expected, exponent), rtol=1e-12)


def test_targets_and_gamma_must_fit_the_dtype() -> None:
    x, y = problem(20)
    with pytest.raises(ValueError, match="y must fit into float32, the dtype of X"):
        KernelRidge(0.1, 0.1).fit(x.astype(np.float32), 1e155 * y)
    with pytest.raises(ValueError, match="coefficients do not fit into float32; use smaller targets or a larger alpha"):
        KernelRidge(3.0, 1e-4).fit(np.repeat(x, 2, axis=0).astype(np.float32), np.tile([-3e38, 3e38], 20))
    with pytest.raises(ValueError, match=r"gamma must fit into float32, the dtype of X, but it is 1e\+300"):
        KernelRidge(1e300, 0.1).fit(x.astype(np.float32), y)


def test_auto_takes_the_smallest_refitted_error() -> None:
    x, y = problem(24)
    model = KernelRidge().fit(x, y)
    distances = ((model.X_fit_[:, None] - model.X_fit_[None]) ** 2).sum(axis=-1)
    median = np.median(distances[np.triu_indices(24, 1)])
    errors = {
        (factor / median, alpha): refitted_error(model.X_fit_, y, factor / median, alpha)
        for factor in (1 / 8, 1 / 4, 1 / 2, 1, 2, 4)
        for alpha in ALPHAS
    }
    gamma, alpha = min(errors, key=lambda key: errors[key])
    assert (model.gamma_, model.alpha_) == pytest.approx((gamma, alpha))
    assert model.loo_rmse_ == pytest.approx(errors[gamma, alpha], rel=1e-8)
    assert KernelRidge(gamma=0.5).fit(x, y).gamma_ == 0.5
    assert KernelRidge(alpha=0.5).fit(x, y).alpha_ == 0.5


def test_equals_scikit_learn_on_the_same_centring() -> None:
    x, y = problem(300)
    unseen, _ = problem(100, seed=1)
    model = KernelRidge(gamma=0.05, alpha=0.1).fit(x, y)
    reference = kernel_ridge.KernelRidge(kernel="rbf", gamma=0.05, alpha=0.1).fit(x, y - y.mean())
    np.testing.assert_allclose(model.dual_coef_, reference.dual_coef_, rtol=0, atol=1e-8)
    expected = reference.predict(unseen) + y.mean()
    np.testing.assert_allclose(model.predict(unseen), expected, rtol=0, atol=1e-8)


def test_single_precision_stays_single_and_agrees() -> None:
    x, y = problem(200)
    model = KernelRidge(gamma=0.05, alpha=0.1).fit(x.astype(np.float32), y)
    predicted = model.predict(x.astype(np.float32))
    assert predicted.dtype == np.float32
    np.testing.assert_allclose(predicted, KernelRidge(gamma=0.05, alpha=0.1).fit(x, y).predict(x), rtol=1e-4)


def test_far_away_is_the_mean() -> None:
    x, y = problem(50)
    far = KernelRidge().fit(x, y).predict(x[:3] + 1e6)
    np.testing.assert_allclose(far, y.mean(), rtol=1e-12)


def test_constant_features_and_targets() -> None:
    x, y = problem(40)
    x[:, 2] = 0.1
    model = KernelRidge().fit(x, y)
    assert np.isfinite(model.predict(x)).all()
    np.testing.assert_allclose(KernelRidge().fit(np.ones((5, 2)), np.arange(5.0)).predict(np.ones((1, 2))), 2.0)
    np.testing.assert_allclose(KernelRidge().fit(x, np.full(40, 7.0)).predict(x), 7.0)


def test_choice_on_a_subset_is_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(krr, "MAX_SELECTION_ROWS", 60)
    x, y = problem(80)
    fits = [KernelRidge(random_state=seed).fit(x, y) for seed in (0, 0, 1)]
    assert {model.n_selection_ for model in fits} == {60}
    assert fits[0].loo_rmse_ == fits[1].loo_rmse_ != fits[2].loo_rmse_
    assert {len(model.dual_coef_) for model in fits} == {80}


def test_standard_deviation_is_that_of_a_gaussian_process() -> None:
    x, y = problem(60)
    unseen, _ = problem(20, seed=1)
    model = KernelRidge(gamma=0.05, alpha=0.1).fit(x, y)
    mean, std = model.predict(unseen, return_std=True)
    np.testing.assert_array_equal(mean, model.predict(unseen))
    amplitude = model.scale_**2
    process = GaussianProcessRegressor(
        ConstantKernel(amplitude) * RBF((2 * 0.05) ** -0.5), alpha=0.1 * amplitude, optimizer=None
    ).fit(x, y - y.mean())
    expected, spread = process.predict(unseen, return_std=True)
    np.testing.assert_allclose(mean - y.mean(), expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(std, spread, rtol=1e-6)
    # No other amplitude makes these targets likelier.
    assert max(0.8, 1.0, 1.25, key=lambda factor: likelihood(x, y, factor * amplitude)) == 1.0


def likelihood(x: NDArray[np.float64], y: NDArray[np.float64], amplitude: float) -> float:
    covariance = amplitude * (kernel(x, x, 0.05) + 0.1 * np.eye(len(x)))
    return float(multivariate_normal.logpdf(y, np.full(len(y), y.mean()), covariance))


@pytest.mark.parametrize("solver", ["cholesky", "nystrom"])
def test_standard_deviation_near_and_far(monkeypatch: pytest.MonkeyPatch, solver: str) -> None:
    made = []
    krr_factor = kernels.krr_factor
    monkeypatch.setattr(kernels, "krr_factor", lambda *rows, **known: made.append(1) or krr_factor(*rows, **known))
    x, y = problem(80)
    model = KernelRidge(gamma=0.05, alpha=0.01, solver=solver, n_components=40).fit(x, y)
    np.testing.assert_allclose(model.predict(x + 1e4, return_std=True)[1], model.scale_, rtol=1e-6)
    assert (model.predict(model.X_fit_, return_std=True)[1] < 0.2 * model.scale_).all()
    assert len(made) == (solver == "cholesky")
    model.fit(3 * x, 2 * y)
    assert model.predict(3 * x[:1], return_std=True)[1] > 0
    assert len(made) == 2 * (solver == "cholesky")


def test_nystrom_on_all_rows_has_the_exact_standard_deviation() -> None:
    x, y = problem(60)
    unseen, _ = problem(20, seed=1)
    exact, low_rank = (KernelRidge(0.05, 0.1, solver=solver).fit(x, y) for solver in ("cholesky", "nystrom"))
    np.testing.assert_allclose(low_rank.predict(unseen, True)[1], exact.predict(unseen, True)[1], rtol=1e-5)


def test_pickles_hold_no_factor() -> None:
    x, y = problem(300)
    exact, low_rank = (
        KernelRidge(0.05, 0.1, solver=solver, n_components=20).fit(x, y) for solver in ("cholesky", "nystrom")
    )
    spreads = [model.predict(x, return_std=True)[1] for model in (exact, low_rank)]
    texts = [pickle.dumps(model) for model in (exact, low_rank)]
    assert len(texts[0]) < 2 * x.nbytes
    assert len(texts[1]) < x.nbytes / 2
    restored = [pickle.loads(text) for text in texts]
    np.testing.assert_array_equal(restored[0].predict(x, return_std=True)[1], spreads[0])
    np.testing.assert_array_equal(restored[1].predict(x), low_rank.predict(x))
    with pytest.raises(ValueError, match="no training rows for a standard deviation; fit it again"):
        restored[1].predict(x, return_std=True)
    assert len(spreads[1]) == 300


@pytest.mark.parametrize("solver", ["cholesky", "nystrom"])
@pytest.mark.parametrize("asked_before", [False, True])
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_copies_keep_the_standard_deviation(solver: str, asked_before: bool, copied: Any) -> None:
    x, y = problem(60)
    model = KernelRidge(0.05, 0.1, solver=solver, n_components=20).fit(x, y)
    expected = model.predict(x, return_std=True)[1] if asked_before else None
    other = copied(model)
    assert np.shares_memory(other.X_fit_, model.X_fit_) == (copied is copy.copy)
    found = other.predict(x, return_std=True)[1]
    np.testing.assert_array_equal(found, model.predict(x, return_std=True)[1] if expected is None else expected)


def test_rows_that_change_after_the_fit() -> None:
    x, y = problem(30)
    for rows in (x.copy(), np.asfortranarray(x)):
        model = KernelRidge(0.05, 0.1).fit(rows, y)
        rows[:] = 0
        np.testing.assert_array_equal(model.predict(x, True), KernelRidge(0.05, 0.1).fit(x, y).predict(x, True))


def test_nystrom_predicts_in_little_memory() -> None:
    x, y = problem(100)
    model = KernelRidge(0.05, 0.1, solver="nystrom", n_components=20).fit(x.astype(np.float32), y)
    many = np.tile(x, (20_000, 1)).astype(np.float32)  # 48 MB
    tracemalloc.start()
    try:
        predicted = model.predict(many)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < predicted.nbytes + (4 << 20)
    np.testing.assert_array_equal(predicted, np.tile(model.predict(many[:100]), 20_000))


def test_the_solver_fits_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = problem(100)
    for available, solver, rows in ((2 * 6 * 100**2, "cholesky", 100), (2 * 6 * 100**2 - 2, "nystrom", 30)):
        monkeypatch.setattr(krr, "available_memory", lambda available=available: available)
        model = KernelRidge(0.05, 0.1, n_components=30).fit(x, y)
        assert (model.solver_, model.n_components_, model.X_fit_.shape) == (solver, rows, (rows, 6))
        assert KernelRidge(0.05, 0.1, solver="cholesky").fit(x, y).solver_ == "cholesky"


def test_refusals() -> None:
    x, y = problem(20)
    x[4] = x[3]
    with pytest.raises(IllConditionedError) as caught:
        KernelRidge(gamma=0.1, alpha=0).fit(x, y)
    assert caught.value.pivot == 4
    with pytest.raises(ValueError, match="gamma must be a number or 'auto', but it is 'scale'"):
        KernelRidge(gamma="scale").fit(x, y)
    with pytest.raises(ValueError, match="alpha must be above 0 for the Nystrom solver"):
        KernelRidge(alpha=0, solver="nystrom").fit(x, y)
    with pytest.raises(ValueError, match="solver must be 'auto', 'cholesky' or 'nystrom', but it is 'svd'"):
        KernelRidge(solver="svd").fit(x, y)
    with pytest.raises(ValueError, match="n_components must be a whole number of at least 1, but it is 0"):
        KernelRidge(solver="nystrom", n_components=0).fit(x, y)
    with pytest.raises(ValueError, match="alpha must be finite and not negative"):
        KernelRidge(alpha=-1.0).fit(x, y)
    for count in (1.5, "a"):
        with pytest.raises(ValueError, match=f"n_components must be a whole number of at least 1, but it is {count!r}"):
            KernelRidge(solver="nystrom", n_components=count).fit(x, y)
    for value in (None, [0.1]):
        with pytest.raises(ValueError, match="alpha must be a number or 'auto', but it is"):
            KernelRidge(alpha=value).fit(x, y)
    with pytest.raises(IllConditionedError, match="No alpha allowed makes a usable kernel matrix; use a larger alpha"):
        KernelRidge(alpha=0).fit(x, y)


def test_groups_keep_near_duplicates_from_choosing_a_narrow_kernel() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(-3, 3, (60, 4))
    quality = np.sin(places.sum(1)) + 0.5 * rng.normal(size=60)  # what a content is rated, whatever its copies
    groups = np.repeat(np.arange(60), 8)
    x = places[groups] + 0.01 * rng.normal(size=(480, 4))
    y = quality[groups] + 0.02 * rng.normal(size=480)
    others = rng.uniform(-3, 3, (500, 4))

    def error(model: KernelRidge) -> float:
        return float(np.mean((model.predict(others) - np.sin(others.sum(1))) ** 2))

    fooled, grouped = KernelRidge().fit(x, y), KernelRidge().fit(x, y, groups)
    assert grouped.n_selection_ == 480
    assert grouped.loo_rmse_ > 3 * fooled.loo_rmse_
    assert error(grouped) < error(fooled)
    alone = KernelRidge().fit(x, y, np.arange(480))
    assert (alone.gamma_, alone.alpha_, alone.loo_rmse_) == (fooled.gamma_, fooled.alpha_, fooled.loo_rmse_)


@pytest.mark.parametrize(("groups", "message"), [([0, 1], "must have shape"), ([0] * 20, "at least two groups")])
def test_groups_that_do_not_fit_are_named(groups: list[int], message: str) -> None:
    x = np.random.default_rng(0).normal(size=(20, 2))
    with pytest.raises(ValueError, match=message):
        KernelRidge().fit(x, x[:, 0], groups)
