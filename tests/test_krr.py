"""The estimator against refits written out, scikit-learn's own, and scikit-learn's contract."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import kernel_ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

from ssiqa import krr
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
@parametrize_with_checks([KernelRidge()])
def test_estimator_contract(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("gamma", [1e-3, 0.1, 3.0])
@pytest.mark.parametrize("alpha", [1e-4, 0.1, 10.0])
def test_leave_one_out_equals_refits(gamma: float, alpha: float) -> None:
    x, y = problem(30)
    model = KernelRidge(gamma=gamma, alpha=alpha).fit(x, y)
    assert model.loo_rmse_ == pytest.approx(refitted_error(model.X_fit_, y, gamma, alpha), rel=1e-8)
    assert model.n_selection_ == 30


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


def test_refusals() -> None:
    x, y = problem(20)
    x[4] = x[3]
    with pytest.raises(IllConditionedError) as caught:
        KernelRidge(gamma=0.1, alpha=0).fit(x, y)
    assert caught.value.pivot == 4
    with pytest.raises(ValueError, match="gamma must be a number or 'auto', but it is 'scale'"):
        KernelRidge(gamma="scale").fit(x, y)
    with pytest.raises(ValueError, match="alpha must be finite and not negative"):
        KernelRidge(alpha=-1.0).fit(x, y)
