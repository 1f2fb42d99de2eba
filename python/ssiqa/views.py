"""A second opinion on a block's labels, by somebody who sees less, knows B alone, and makes other mistakes.

Two learners that see different things of the same examples can teach each other (Blum and Mitchell, "Combining labeled
and unlabeled data with co-training", COLT 1998).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssiqa.krr import KernelRidge
from ssiqa.seeding import generator

FOLDS = 5
FEWEST = 4
"""Photos of a block of which there can be one."""
ALPHA = 0.3
"""Leave-one-out would believe labels too well that are a smooth function of what a photo looks like."""


def second_view(features: NDArray[np.float32], labels: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """What regressions on these features, taught the labels of other photos of the block, say of each photo.

    Args:
        features: ``(n, d)``, n at least ``FEWEST``.
        labels: ``(n,)`` what the teacher says.
        seed: Deals the photos out to folds.
    """
    folds = generator(seed, "second view").permutation(len(labels)) % min(FOLDS, len(labels) // 2)
    seen = np.empty(len(labels))
    for fold in range(folds.max() + 1):
        inside = folds == fold
        regression = KernelRidge(alpha=ALPHA, random_state=seed).fit(features[~inside], labels[~inside])
        seen[inside] = regression.predict(features[inside])
    return seen
