"""Pseudo-labels of a block: by the teacher, and by views of it that know B alone and make other mistakes.

Learners that see different things of the same examples can teach each other (Blum and Mitchell, "Combining labeled and
unlabeled data with co-training", COLT 1998). What a view says of a photo it has learnt in other neighbourhoods of B:
photos that look alike share the teacher's mistakes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold
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
SURE = 1e-12
"""Variances and deviations below are as good as none, in units of labels of about 1."""


def pseudo_labels(
    features: Tensor, widths: Sequence[int], said: Tensor, stds: Tensor, alike: NDArray[np.int64], seed: int
) -> Tensor:
    """What the teacher and views of the block say of each of its photos, by their precision.

    For each depth there is a view, of that depth and all above it. Views are weighed by the inverse of their variances,
    and so are the teacher and what they say together, whose variance is the harmonic mean of theirs: their mistakes are
    not independent. Where views cannot tell what the teacher says, and in a small block, labels are mostly the
    teacher's.

    Args:
        features: ``(n, d)``, n at least ``FEWEST``.
        widths: How many of the features are each depth's.
        said: ``(n,)`` what the teacher says.
        stds: ``(n,)`` posterior standard deviations, by A's truth, which stand for the teacher's.
        alike: ``(n,)`` numbers of neighbourhoods, two or more.
        seed: Picks what views learn where a block is large.
    """
    views = [view(features[:, first:], said, alike, seed) for first in accumulate(widths[:-1], initial=0)]
    seen = torch.stack([values for values, _ in views])
    precision = 1 / torch.stack([as_right(*of_one, said) for of_one in views]).square().clamp(min=SURE)
    together = (precision * seen).sum(dim=0) / precision.sum(dim=0)
    variance = 1 / precision.mean(dim=0)
    return said + stds**2 / (stds**2 + variance) * (together - said)


def view(features: Tensor, said: Tensor, alike: NDArray[np.int64], seed: int) -> tuple[Tensor, Tensor]:
    """What regressions on these features, taught what is said of other photos, say of each photo, and how surely.

    Args:
        features: ``(n, d)`` float32, n at least ``FEWEST``.
        said: ``(n,)`` float64, what is taught, in the same memory.
        alike: ``(n,)`` numbers of neighbourhoods, two or more; photos of one are not taught to each other.
        seed: Picks what is learnt of more than ``LEARNT`` photos.

    Returns:
        ``(n,)`` each: values, and posterior standard deviations.
    """
    rng = generator(seed, "view")
    some = features[rng.permutation(len(said))[:LEARNT]]
    gamma = WIDTH / median_distance(kernels.squared_distances(some, some))
    seen, stds = torch.empty_like(said), torch.empty_like(said)
    folds = GroupKFold(min(FOLDS, len(np.unique(alike))))
    for others, inside in folds.split(alike, groups=alike):
        learnt = rng.permutation(others)[:LEARNT]
        regression = ridge.fit(features[learnt], said[learnt], gamma=gamma, alpha=ALPHA, seed=seed)
        mean, std = regression.predict(features[inside])
        # Who was taught one value has no scale, and is not sure of it everywhere.
        seen[inside], stds[inside] = mean.double(), std.double() if regression.scale > SURE else said.std()
    return seen, stds


def as_right(seen: Tensor, stds: Tensor, said: Tensor) -> Tensor:
    """Deviations of a view scaled so that their mean square is that of what it misses of what was said.

    Posterior deviations tell which photos a view knows better, and not how much it knows at all. Noise in the teacher's
    labels counts as the view's error here, and mistakes that both share as none: it is a size, not a measurement.

    Args:
        seen: ``(n,)`` what a view says.
        stds: ``(n,)`` its posterior standard deviations.
        said: ``(n,)`` what other photos taught it.

    Returns:
        ``(n,)`` standard deviations.
    """
    missed, claimed = (values.square().mean().sqrt() for values in (seen - said, stds))
    return stds * missed / claimed.clamp(min=SURE)
