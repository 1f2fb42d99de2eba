"""Pseudo-labels of a block: by the teacher, and by views of it that know B alone and make other mistakes.

Learners that see different things of the same examples can teach each other (Blum and Mitchell, "Combining labeled and
unlabeled data with co-training", COLT 1998).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ssiqa import kernels
from ssiqa.krr import KernelRidge, median_distance
from ssiqa.seeding import generator

FOLDS = 5
FEWEST = 4
"""Photos of a block of which there can be views."""
LEARNT = 2048
"""Photos that a view learns from, at most."""
ALPHA = 0.3
"""Leave-one-out would believe labels too well that are a smooth function of what a photo looks like."""
WIDTH = 0.5
"""Inverse width of the kernel, in units of the inverse median squared distance."""

Floats = NDArray[np.float64]


def pseudo_labels(
    features: NDArray[np.float32], widths: Sequence[int], said: Floats, stds: Floats, seed: int
) -> Floats:
    """What the teacher and views of the block say of each of its photos, by their precision.

    For each depth there is a view, of that depth and all above it. It and the teacher are weighed by the inverse of
    their posterior variances; the label is the mean over views. Photos that have few neighbours in the block, and all
    of a small block, are mostly left to the teacher.

    Args:
        features: ``(n, d)``, n at least ``FEWEST``.
        widths: How many of the features are each depth's.
        said: ``(n,)`` what the teacher says.
        stds: ``(n,)`` posterior standard deviations, by A's truth. They stand for the teacher's, and a view's for
            errors that are not independent of the teacher's: the weights are a rule of thumb.
        seed: Deals the photos out to folds.
    """
    labels = np.zeros(len(said))
    for first in np.cumsum([0, *widths[:-1]]):
        seen, view_stds = view(features[:, first:], said, seed)
        both = stds**2 + view_stds**2
        weight = np.divide(stds**2, both, out=np.zeros_like(both), where=both > 0)
        labels += said + weight * (seen - said)
    return labels / len(widths)


def view(features: NDArray[np.float32], said: Floats, seed: int) -> tuple[Floats, Floats]:
    """What regressions on these features, taught what is said of other photos, say of each photo, and how surely.

    Args:
        features: ``(n, d)``, n at least ``FEWEST``.
        said: ``(n,)`` what is taught.
        seed: Deals the photos out to folds.

    Returns:
        ``(n,)`` each: values, and posterior standard deviations.
    """
    rng = generator(seed, "view")
    folds = rng.permutation(len(said)) % min(FOLDS, len(said) // 2)
    some = features[rng.permutation(len(said))[:LEARNT]]
    gamma = WIDTH / median_distance(kernels.squared_distances(some, some))
    seen, stds = np.empty(len(said)), np.empty(len(said))
    for fold in range(folds.max() + 1):
        inside, others = folds == fold, rng.permutation(np.flatnonzero(folds != fold))[:LEARNT]
        regression = KernelRidge(gamma, ALPHA, random_state=seed).fit(features[others], said[others])
        seen[inside], stds[inside] = regression.predict(features[inside], return_std=True)
    return seen, stds
