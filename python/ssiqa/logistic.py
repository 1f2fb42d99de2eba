"""The curve from scores to labels that is often fitted before PLCC and RMSE (VQEG, 2000; Sheikh et al., 2006)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import expit

from ssiqa.errors import DataError
from ssiqa.scaling import centred

STEPS = 1_000
"""Evaluations of the curve for each start, at most: where the best has no end it goes on for ever towards it."""


def fit_logistic(scores: NDArray[np.float64], labels: NDArray[np.float64], parameters: int) -> NDArray[np.float64]:
    """``(n,)`` scores as the fitted curve maps them to the labels.

    With four parameters the curve is ``low + height / (1 + exp(-steepness (x - middle)))``; the fifth adds ``slope x``.
    Least squares decide whether it rises or falls: PLCC says nothing about the direction any more, SRCC does. Where all
    scores are the same, or all labels, it is flat.

    The best of several starts counts. One of them is nearly the straight line, or with five parameters the line itself,
    than which the curve is never worse.

    Raises:
        DataError: There are fewer photos than parameters, or parameters are neither 4 nor 5.
    """
    if parameters not in (4, 5):
        raise DataError(f"logistic is {parameters!r}; it must be 4 or 5.")
    if len(scores) < parameters:
        raise DataError(f"A logistic of {parameters} parameters needs as many photos; there are {len(scores)}.")
    if np.ptp(scores) == 0 or np.ptp(labels) == 0:
        return np.full_like(labels, labels.mean())
    of_scores, truth = centred(scores), centred(labels)
    x, y = (near_one.values / near_one.values.std() for near_one in (of_scores, truth))
    line, step, bend = float(x @ y / len(x)), float(np.ptp(y)), 0.2
    starts = [[-h / 2, h, s, 0.0] for h, s in ((step, 2.0), (-step, 2.0), (4 * line / bend, bend))]
    if parameters == 5:
        starts = [[*start, 0.0] for start in starts] + [[0.0, 0.0, 1.0, 0.0, line]]

    def missed(found: NDArray[np.float64]) -> NDArray[np.float64]:
        difference: NDArray[np.float64] = _curve(x, *found) - y
        return difference

    tried = [least_squares(missed, start, method="lm", max_nfev=STEPS) for start in starts]
    best = min(tried, key=lambda one: one.cost)
    mapped: NDArray[np.float64] = truth.mean + np.ldexp(truth.values.std() * _curve(x, *best.x), truth.exponent)
    return mapped


def _curve(
    x: NDArray[np.float64], low: float, height: float, steepness: float, middle: float, slope: float = 0.0
) -> NDArray[np.float64]:
    curve: NDArray[np.float64] = low + height * expit(steepness * (x - middle)) + slope * x
    return curve
