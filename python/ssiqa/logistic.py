"""The curve from scores to labels that is often fitted before PLCC and RMSE (VQEG, 2000; Sheikh et al., 2006)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.special import expit

from ssiqa.errors import DataError


def _four(x: Any, high: float, low: float, middle: float, width: float) -> Any:
    return low + (high - low) * expit((x - middle) / abs(width))


def _five(x: Any, height: float, steepness: float, middle: float, slope: float, offset: float) -> Any:
    return height * (expit(steepness * (x - middle)) - 0.5) + slope * x + offset


def fit_logistic(scores: NDArray[np.float64], labels: NDArray[np.float64], parameters: int) -> NDArray[np.float64]:
    """``(n,)`` scores as the fitted curve maps them to the labels.

    With four parameters the curve is ``low + (high - low) / (1 + exp(-(x - middle) / |width|))``; with five it is
    ``height (1 / 2 - 1 / (1 + exp(steepness (x - middle)))) + slope x + offset``. Least squares decide whether it rises
    or falls: PLCC says nothing about the direction any more, SRCC does. Where all scores are the same, or all labels,
    it is flat.

    Raises:
        DataError: There are fewer photos than parameters, or least squares find no curve.
    """
    if parameters not in (4, 5):
        raise DataError(f"logistic is {parameters!r}; it must be 4 or 5.")
    if len(scores) < parameters:
        raise DataError(f"A logistic of {parameters} parameters needs as many photos; there are {len(scores)}.")
    if np.ptp(scores) == 0 or np.ptp(labels) == 0:
        return np.full_like(labels, labels.mean())
    x, y = ((values - values.mean()) / values.std() for values in (scores, labels))
    curve, start = (_four, (y.max(), y.min(), 0, 0.5)) if parameters == 4 else (_five, (np.ptp(y), 1, 0, 0, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)  # about the parameters' covariance, which nobody asks for
        try:
            found, _ = curve_fit(curve, x, y, start, maxfev=10_000)
            fitted = curve(x, *found)
        except RuntimeError as error:
            raise _no_fit(parameters) from error
    if not np.isfinite(fitted).all() or np.ptp(fitted) == 0:
        raise _no_fit(parameters)
    mapped: NDArray[np.float64] = labels.mean() + labels.std() * fitted
    return mapped


def _no_fit(parameters: int) -> DataError:
    return DataError(
        f"No logistic of {parameters} parameters fits these scores and labels; evaluate without one, or with the other."
    )
