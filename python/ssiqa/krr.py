"""Kernel ridge regression that chooses its own width and penalty."""

from __future__ import annotations

import copy
import numbers
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from ssiqa import group_out, kernels, nystrom
from ssiqa.errors import IllConditionedError
from ssiqa.loo import from_distances
from ssiqa.memory import available_memory
from ssiqa.scaling import Scaled, centred

Floats = NDArray[np.float64]

GAMMA_FACTORS = 2.0 ** np.arange(-3, 3)
ALPHAS: Floats = np.logspace(-4, 1, 9)
MAX_SELECTION_ROWS = 2048
# Below so many groups one row of each says too little; then at most so many rows are chosen on, dealt out evenly.
FEW_GROUPS = 128
MAX_GROUPED_ROWS = 1024
# Of the exact fit: a triangle of float64 and one of float32 for each pair of rows.
BYTES_PER_PAIR = 6
# Rows converted at once where predictions are computed in another dtype than that of the rows.
CONVERTED_ROWS = 4096


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
        random_state: Seed of the subset on which the choice is made when there are more than 2,048 rows or groups, and
            of the centres.
        solver: "cholesky" is exact and needs 6 n^2 bytes for n rows. "nystrom" restricts the solution to
            `n_components` training rows, the centres; its memory does not grow with n, but that it keeps as much of
            the kernel as a quarter of the memory still available holds. "auto" is exact where that takes at most half
            of the memory available, and else Nystrom.
        n_components: Number of centres, chosen at random without replacement; all rows where there are fewer.

    Attributes:
        gamma_: The width used.
        alpha_: The penalty used.
        loo_rmse_: Root mean squared leave-one-out error of that choice by the exact solver, in units of y; None where
            nothing was "auto", because then no error is computed.
        n_selection_: Number of rows on which that error was computed, 0 if it was not; the fit itself uses all.
        solver_: "cholesky" or "nystrom", whichever was used.
        n_components_: Number of rows in `X_fit_`, m: n if exact, else the number of centres.
        dual_coef_: (m,) weights of these rows.
        X_fit_: (m, d) training rows or centres.
        y_mean_: Mean of y.
        scale_: Standard deviation of the function a priori, in units of y: that of the Gaussian process with this
            kernel, and noise of variance alpha times its own, which makes y most likely. By Nystrom the kernel is that
            of the centres, and what it cannot carry counts as a larger scale: with few centres for the width, the
            standard deviation is too large, not too small.
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
        self,
        gamma: float | str = "auto",
        alpha: float | str = "auto",
        random_state: int | np.random.RandomState = 0,
        *,
        solver: str = "auto",
        n_components: int = 2048,
    ) -> None:
        self.gamma = gamma
        self.alpha = alpha
        self.random_state = random_state
        self.solver = solver
        self.n_components = n_components

    def fit(self, X: Any, y: Any, groups: Any = None) -> KernelRidge:
        """Choose what is "auto", and solve for the dual coefficients.

        Args:
            X: (n, d) features, n at least 2; float32 stays float32. A Nystrom model may keep them by reference, for the
                standard deviation: leave them as they are until the first call that asks for it.
            y: (n,) targets of any size that the dtype of X holds.
            groups: (n,) group of each row, at least two. What is "auto" is then chosen on one random row of each, or
                where they are fewer than 128 by the error on groups that are left out whole: a row whose near-duplicate
                stays in is predicted well by any narrow kernel, which says nothing of rows that have none.

        Raises:
            ValueError: A shape, a number or a parameter is not usable.
            IllConditionedError: alpha is given and too small for these rows.

        Warns:
            sklearn.exceptions.ConvergenceWarning: The Nystrom solution is less exact than it could be.
        """
        self._check_parameters()
        given = X
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], y_numeric=True, ensure_min_samples=2)
        y = np.asarray(y, dtype=np.float64)
        if np.abs(y).max() > np.finfo(X.dtype).max:
            raise ValueError(f"y must fit into {X.dtype}, the dtype of X, but it reaches {np.abs(y).max()}.")
        random = check_random_state(self.random_state)
        targets = centred(y)
        self.y_mean_ = targets.mean
        self.solver_ = _solver(self.solver, len(y))
        if self.solver_ == "nystrom" and self.alpha == 0:
            raise ValueError("alpha must be above 0 for the Nystrom solver, but it is 0.")

        self._choose(X, targets, random, groups)
        self._posterior: Any = None
        if self.solver_ == "nystrom":
            coef, amplitude = self._fit_centres(X, targets.values, random)
        else:
            coef, amplitude = self._fit_all(X.copy() if np.may_share_memory(X, given) else X, targets.values)
        with np.errstate(over="ignore"):
            self.dual_coef_ = np.ldexp(coef, targets.exponent)
        if not np.isfinite(self.dual_coef_).all():
            raise ValueError(f"The coefficients do not fit into {coef.dtype}; use smaller targets or a larger alpha.")
        self.scale_ = float(np.ldexp(np.sqrt(amplitude), targets.exponent))
        self.n_components_ = len(self.X_fit_)
        return self

    def _choose(self, X: NDArray[Any], targets: Scaled, random: np.random.RandomState, groups: Any) -> None:
        self.loo_rmse_: float | None = None
        self.n_selection_ = 0
        if isinstance(self.gamma, str) or isinstance(self.alpha, str):
            rows, left_out = selection_rows(groups, len(X), random)
            choice = _best(X[rows].astype(np.float64), targets.values[rows], self.gamma, self.alpha, left_out)
            self.gamma_, self.alpha_ = choice.gamma, choice.alpha
            self.loo_rmse_ = float(np.ldexp(choice.rmse, targets.exponent))
            self.n_selection_ = len(rows)
        else:
            self.gamma_, self.alpha_ = float(self.gamma), float(self.alpha)
        if self.gamma_ > float(np.finfo(X.dtype).max):
            raise ValueError(f"gamma must fit into {X.dtype}, the dtype of X, but it is {self.gamma_}.")

    def _fit_all(self, X: NDArray[Any], y: Floats) -> tuple[NDArray[Any], float]:
        self.X_fit_ = self._rows = X
        coef = kernels.krr_fit(X, y.astype(X.dtype), gamma=self.gamma_, alpha=self.alpha_)
        return coef, max(0.0, float(np.mean(y * coef)))

    def _fit_centres(self, X: NDArray[Any], y: Floats, random: np.random.RandomState) -> tuple[Floats, float]:
        self._rows = X
        self.X_fit_ = X[some_rows(len(y), self.n_components, random)]
        found = nystrom.solve(X, y, self.X_fit_, gamma=self.gamma_, alpha=self.alpha_)
        return found.coef, found.amplitude

    @overload
    def predict(self, X: Any, return_std: Literal[False] = False) -> NDArray[Any]: ...

    @overload
    def predict(self, X: Any, return_std: Literal[True]) -> tuple[NDArray[Any], NDArray[Any]]: ...

    def predict(self, X: Any, return_std: bool = False) -> NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]:
        """Predict the targets of (m, d) features as (m,), in the dtype of the training features.

        Memory, beyond the answer's and a copy of the features that have another dtype, does not grow with m.

        Args:
            X: (m, d) features.
            return_std: Give the standard deviation of the function at these features, too, as (m,) in units of y:
                `scale_` times the root of the posterior variance, which is 1 far away from all training rows. The
                first such call after a fit makes a second factor, which is kept until the next fit.

        Raises:
            ValueError: A shape or a number is not usable, or the standard deviation of a Nystrom model is asked for
                that came out of a pickle: that takes all training rows, and a pickle has only the centres.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=self.X_fit_.dtype, reset=False)
        predicted = self._mean(X)
        if not return_std:
            return predicted
        std = self.scale_ * np.sqrt(self._variance(X))
        return predicted, std.astype(X.dtype, copy=False)

    def _mean(self, X: NDArray[Any]) -> NDArray[Any]:
        # Weights of centres cancel, and are float64 for that reason.
        dtype = self.dual_coef_.dtype
        centres = self.X_fit_.astype(dtype, copy=False)
        predicted = np.empty(len(X), X.dtype)
        step = len(X) if X.dtype == dtype else CONVERTED_ROWS
        for start in range(0, len(X), step):
            rows = X[start : start + step].astype(dtype, copy=False)
            product = kernels.rbf_matvec(rows, centres, self.dual_coef_, gamma=self.gamma_)
            predicted[start : start + step] = product + dtype.type(self.y_mean_)
        return predicted

    def _variance(self, X: NDArray[Any]) -> NDArray[Any]:
        settings = {"gamma": self.gamma_, "alpha": self.alpha_}
        if self.solver_ == "cholesky":
            if self._posterior is None:
                self._posterior = kernels.krr_factor(self.X_fit_, **settings)
            return np.asarray(self._posterior.variance(X))
        if self._posterior is None:
            if self._rows is None:
                raise ValueError("This Nystrom model has no training rows for a standard deviation; fit it again.")
            self._posterior = nystrom.posterior(self._rows, self.X_fit_, **settings)
        return nystrom.variance(self._posterior, self.X_fit_, X, gamma=self.gamma_)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {**state, "_posterior": None, "_rows": None} if "_rows" in state else state

    def __copy__(self) -> KernelRidge:
        copied = type(self).__new__(type(self))
        copied.__dict__.update(vars(self))
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> KernelRidge:
        """Keep what a pickle leaves out: the training rows, and the factor, shared because nothing changes it."""
        copied = memo[id(self)] = copy.copy(self)
        own = {name: value for name, value in vars(self).items() if name != "_posterior"}
        copied.__dict__.update(copy.deepcopy(own, memo))
        return copied

    def _check_parameters(self) -> None:
        _check_parameter("gamma", self.gamma)
        _check_parameter("alpha", self.alpha)
        if self.solver not in ("auto", "cholesky", "nystrom"):
            raise ValueError(f"solver must be 'auto', 'cholesky' or 'nystrom', but it is {self.solver!r}.")
        if not isinstance(self.n_components, numbers.Integral) or self.n_components < 1:
            raise ValueError(f"n_components must be a whole number of at least 1, but it is {self.n_components!r}.")


class Choice(NamedTuple):
    """A point of the grid, and its error."""

    gamma: float
    alpha: float
    rmse: float


def _check_parameter(name: str, value: float | str) -> None:
    if isinstance(value, str) and value == "auto":
        return
    if not isinstance(value, numbers.Real):
        raise ValueError(f"{name} must be a number or 'auto', but it is {value!r}.")
    if not (np.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be finite and not negative, but it is {value}.")


def _solver(asked: str, n: int) -> str:
    if asked != "auto":
        return asked
    return "cholesky" if BYTES_PER_PAIR * n * n <= available_memory() // 2 else "nystrom"


def selection_rows(
    groups: Any, n: int, random: np.random.RandomState
) -> tuple[NDArray[np.intp], NDArray[np.int64] | None]:
    """Rows to choose on, in order, and the groups that are left out whole; None where it is row by row."""
    if groups is None:
        return some_rows(n, MAX_SELECTION_ROWS, random), None
    if np.shape(groups) != (n,):
        raise ValueError(f"groups must have shape ({n},), one for each row, but it has {np.shape(groups)}.")
    names, numbers = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise ValueError("groups must name at least two groups, but all rows belong to one.")
    most = 1 if len(names) >= FEW_GROUPS else MAX_GROUPED_ROWS // len(names)
    rows = np.sort(first_of_groups(numbers, random.permutation(n), most))
    if most == 1:
        return rows[some_rows(len(rows), MAX_SELECTION_ROWS, random)], None
    return rows, numbers[rows]


def first_of_groups(numbers: NDArray[Any], order: NDArray[Any], most: int) -> NDArray[np.intp]:
    """Rows by group, at most so many of each, the first in ``order``; ``numbers`` are those of the groups."""
    order = order[np.argsort(numbers[order], kind="stable")]
    starts = np.searchsorted(numbers[order], numbers[order])
    return np.asarray(order[np.arange(len(order)) - starts < most], dtype=np.intp)


def some_rows(n: int, most: int, random: np.random.RandomState) -> NDArray[np.intp]:
    """At most so many of n random rows, in order."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.asarray(random.choice(n, most, replace=False), dtype=np.intp))


def _best(x: Floats, y: Floats, gamma: float | str, alpha: float | str, groups: NDArray[np.int64] | None) -> Choice:
    distances = kernels.squared_distances(x)
    gammas, alphas = grid(median_distance(distances), gamma, alpha)
    if groups is None:
        table = from_distances(distances, y, gammas, alphas).rmse
    else:
        table = group_out.from_distances(distances, y, groups, gammas, alphas)
    return smallest(table, gammas, alphas)


def grid(distance: float, gamma: float | str, alpha: float | str) -> tuple[Floats, Floats]:
    """Widths and penalties to choose from, by the usual squared distance, where they are not given."""
    gammas = np.asarray(GAMMA_FACTORS / distance if isinstance(gamma, str) else [gamma], np.float64)
    return gammas, np.asarray(ALPHAS if isinstance(alpha, str) else [alpha], np.float64)


def smallest(table: Floats, gammas: Floats, alphas: Floats) -> Choice:
    """The point of the grid with the smallest error on what is left out; the first one where several are equal."""
    row, column = np.unravel_index(np.argmin(table), table.shape)
    if not np.isfinite(table[row, column]):
        raise IllConditionedError("No alpha allowed makes a usable kernel matrix; use a larger alpha.", 0, np.inf)
    return Choice(float(gammas[row]), float(alphas[column]), float(table[row, column]))


def median_distance(distances: NDArray[Any]) -> float:
    """Of a square matrix of squared distances, the median between two rows: of those that differ, where most are the
    same, and 1 where all are."""
    between = distances[np.tri(len(distances), k=-1, dtype=bool)]
    median = float(np.median(between))
    if median == 0 and (differing := between[between > 0]).size:
        median = float(np.median(differing))
    return median if median > 0 else 1.0
