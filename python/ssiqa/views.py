"""Pseudo-labels of a block: by the teacher, and by views of it that know B alone and make other mistakes.

Learners that see different things of the same examples can teach each other (Blum and Mitchell, "Combining labeled and
unlabeled data with co-training", COLT 1998).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from ssiqa import kernels, ridge
from ssiqa.gpu_ridge import median_distance
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


def pseudo_labels(features: Tensor, widths: Sequence[int], said: Tensor, stds: Tensor, seed: int) -> Tensor:
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
    labels = torch.zeros_like(said)
    for first in accumulate(widths[:-1], initial=0):
        seen, view_stds = view(features[:, first:], said, seed)
        both = stds**2 + view_stds**2
        weight = torch.where(both > 0, stds**2 / both, 0)
        labels += said + weight * (seen - said)
    return labels / len(widths)


def view(features: Tensor, said: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """What regressions on these features, taught what is said of other photos, say of each photo, and how surely.

    Args:
        features: ``(n, d)`` float32, n at least ``FEWEST``.
        said: ``(n,)`` float64, what is taught, in the same memory.
        seed: Deals the photos out to folds.

    Returns:
        ``(n,)`` each: values, and posterior standard deviations.
    """
    rng = generator(seed, "view")
    folds = rng.permutation(len(said)) % min(FOLDS, len(said) // 2)
    some = features[rng.permutation(len(said))[:LEARNT]]
    gamma = WIDTH / median_distance(kernels.squared_distances(some, some))
    seen, stds = torch.empty_like(said), torch.empty_like(said)
    for fold in range(folds.max() + 1):
        inside, others = np.flatnonzero(folds == fold), rng.permutation(np.flatnonzero(folds != fold))[:LEARNT]
        regression = ridge.fit(features[others], said[others], gamma=gamma, alpha=ALPHA, seed=seed)
        mean, std = regression.predict(features[inside])
        seen[inside], stds[inside] = mean.double(), std.double()
    return seen, stds
