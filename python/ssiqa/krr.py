"""Kernel ridge regression that chooses its own width and penalty."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from ssiqa import _core, kernels

Floats = NDArray[np.float64]

GAMMA_FACTORS = 2.0 ** np.arange(-3, 3)
ALPHAS = np.logspace(-4, 1, 9)
MAX_SELECTION_ROWS = 2048


class KernelRidge(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Ridge regression on the RBF kernel of features as they are, equations (1) to (3) of the paper.

    Features are not standardised one by one: a trained network gives what matters for quality a larger variance, and
    dividing by it would weigh every other feature up to the same. y is centred by its mean, so that a row far from all
    training rows is predicted as that mean. What is "auto" is chosen by the closed-form
    leave-one-out error: gamma from 1/8 to 4 times the inverse of the median squared distance, alpha from 1e-4 to 10.
    The error accounts exactly for the mean of y without the row left out.

    Args:
        gamma: Inverse squared width of the kernel, or "auto".
        alpha: Penalty, the lambda of the paper, or "auto".
        random_state: Seed of the subset on which the choice is made when there are more than 2,048 rows.

    Attributes:
        gamma_: The width used.
        alpha_: The penalty used.
        loo_rmse_: Root mean squared leave-one-out error of that choice, in units of y.
        n_selection_: Number of rows on which that error was computed; the fit itself uses all.
        dual_coef_: (n,) weights of the training rows.
        X_fit_: (n, d) training rows.
        y_mean_: Mean of y.
        n_features_in_: Number of features.

    Example:
        >>> import numpy as np
        >>> x = np.linspace(0, 3, 30)[:, None]
        >>> model = KernelRidge().fit(x, np.sin(x[:, 0]))
        >>> model.predict([[1.5]]).round(2)
        array([1.])
        >>> model.loo_rmse_ < 0.01
        True
    """

    def __init__(
        self, gamma: float | str = "auto", alpha: float | str = "auto", random_state: int | np.random.RandomState = 0
    ) -> None:
        self.gamma = gamma
        self.alpha = alpha
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> KernelRidge:
        """Choose what is "auto", and solve for the dual coefficients.

        Args:
            X: (n, d) features, n at least 2; float32 stays float32.
            y: (n,) targets.

        Raises:
            ValueError: A shape, a number or a parameter is not usable.
            IllConditionedError: alpha is given and too small for these rows.
        """
        _check_parameter("gamma", self.gamma)
        _check_parameter("alpha", self.alpha)
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], y_numeric=True, ensure_min_samples=2)
        y = np.asarray(y, dtype=np.float64)
        self.X_fit_ = X
        self.y_mean_ = float(y.mean())

        rows = _selection_rows(len(y), self.random_state)
        choice = _choose(self.X_fit_[rows].astype(np.float64), y[rows], self.gamma, self.alpha)
        self.gamma_, self.alpha_, self.loo_rmse_ = choice
        self.n_selection_ = len(rows)
        targets = (y - self.y_mean_).astype(X.dtype)
        self.dual_coef_ = kernels.krr_fit(self.X_fit_, targets, gamma=self.gamma_, alpha=self.alpha_)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the targets of (m, d) features as (m,), in the dtype of the training features."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=self.X_fit_.dtype, reset=False)
        centred = kernels.rbf_matvec(X, self.X_fit_, self.dual_coef_, gamma=self.gamma_)
        return np.asarray(centred + X.dtype.type(self.y_mean_))


class _Choice(NamedTuple):
    gamma: float
    alpha: float
    loo_rmse: float


def _check_parameter(name: str, value: float | str) -> None:
    if isinstance(value, str):
        if value != "auto":
            raise ValueError(f"{name} must be a number or 'auto', but it is {value!r}.")
    elif not (np.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be finite and not negative, but it is {value}.")


def _selection_rows(n: int, random_state: int | np.random.RandomState) -> NDArray[np.intp]:
    if n <= MAX_SELECTION_ROWS:
        return np.arange(n)
    chosen = check_random_state(random_state).choice(n, MAX_SELECTION_ROWS, replace=False)
    return np.sort(np.asarray(chosen, dtype=np.intp))


def _choose(x: Floats, y: Floats, gamma: float | str, alpha: float | str) -> _Choice:
    """The point of the grid with the smallest leave-one-out error; the first one where several are equal."""
    distances = kernels.squared_distances(x)
    gammas = GAMMA_FACTORS / _median_distance(distances) if isinstance(gamma, str) else np.array([float(gamma)])
    alphas = ALPHAS if isinstance(alpha, str) else np.array([float(alpha)])

    def errors(width: float) -> Floats:
        return np.asarray(np.sqrt(np.mean(_leave_one_out(np.exp(-width * distances), y, alphas) ** 2, axis=0)))

    # A threaded eigendecomposition waits for its slowest thread thousands of times, and stalls on a machine that is
    # otherwise busy; one thread for each gamma does not, and rounds alike on any number of cores.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(_core.n_threads()) as pool:
        table = np.array(list(pool.map(errors, gammas)))
    row, column = np.unravel_index(np.argmin(table), table.shape)
    return _Choice(float(gammas[row]), float(alphas[column]), float(table[row, column]))


def _median_distance(distances: Floats) -> float:
    median = float(np.median(distances[np.triu_indices(len(distances), 1)]))
    return median if median > 0 else 1.0


def _leave_one_out(kernel: Floats, y: Floats, alphas: Floats) -> Floats:
    """Errors (n, a) of predicting each y from the other rows, centred by their own mean, for each of (a,) penalties.

    With G = (K + alpha I)^-1, leaving row i out of a fit to the targets y - m leaves the error [G (y - m)]_i / G_ii.
    One eigendecomposition gives G for every penalty.
    """
    n = len(y)
    values, vectors = eigh(kernel, driver="evd", overwrite_a=True, check_finite=False)
    # Eigenvalues that are rounding error must not decide; the fit refuses such a matrix by the same bound.
    spectrum = np.maximum(values[:, None] + alphas, n * np.finfo(np.float64).eps * (1 + alphas))
    weights = 1 / spectrum
    solved = vectors @ (weights * (vectors.T @ y)[:, None])
    solved_ones = vectors @ (weights * vectors.sum(axis=0)[:, None])
    diagonal = (vectors**2) @ weights
    mean_of_others = (y.sum() - y) / (n - 1)
    return np.asarray((solved - mean_of_others[:, None] * solved_ones) / diagonal)
