"""Errors of kernel ridge regression on groups that were left out whole, for a grid of widths and penalties."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

Floats = NDArray[np.float64]


def from_distances(distances: Floats, y: Floats, groups: NDArray[np.int64], gammas: Floats, alphas: Floats) -> Floats:
    """Root mean squared errors ``(g, a)`` of predicting each group from all the others, centred by their own mean.

    They equal those of one refit for each group: with G = (K + alpha I)^-1 and m the mean of the others, leaving out
    group I leaves the errors G_II^-1 [G (y - m)]_I. They are infinite where K + alpha I is not numerically positive
    definite.

    Args:
        distances: ``(n, n)`` squared distances.
        y: ``(n,)`` targets.
        groups: ``(n,)``, at least two.
        gammas: ``(g,)`` inverse squared widths.
        alphas: ``(a,)`` penalties.
    """
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    found = np.full((len(gammas), len(alphas)), np.inf)
    for row, gamma in enumerate(gammas):
        values, vectors = eigh(np.exp(-gamma * distances), driver="evd")
        for column, alpha in enumerate(alphas):
            if values[0] + alpha <= len(y) * np.finfo(np.float64).eps * values[-1]:
                continue
            inverse = (vectors / (values + alpha)) @ vectors.T
            solved, ones = inverse @ y, inverse.sum(1)
            total = 0.0
            for inside in members:
                others = (y.sum() - y[inside].sum()) / (len(y) - len(inside))
                errors = np.linalg.solve(inverse[np.ix_(inside, inside)], solved[inside] - others * ones[inside])
                total += float(errors @ errors)
            found[row, column] = np.sqrt(total / len(y))
    return found
