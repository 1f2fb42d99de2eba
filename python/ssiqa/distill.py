"""Pseudo-labels: what kernel ridge regression on the teacher's features says of photos nobody has rated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssiqa.config import Config
from ssiqa.features import Views
from ssiqa.krr import KernelRidge


@dataclass(frozen=True)
class PseudoLabels:
    """Labels of a block on the internal scale, and how they came about.

    Attributes:
        values: ``(n,)`` pseudo-labels.
        gamma: RBF width used, None without KRR.
        alpha: Ridge penalty used, None without KRR.
        loo_rmse: Leave-one-out error on A, internal scale (1 is the spread of A's labels), None without KRR or
            where gamma and alpha are both given.
    """

    values: NDArray[np.float64]
    gamma: float | None = None
    alpha: float | None = None
    loo_rmse: float | None = None


def pseudo_labels(labeled: Views, targets: NDArray[np.float64], block: Views, config: Config) -> PseudoLabels:
    """Fit equation (1) of the paper on A's features and truth, and evaluate equation (3) on the block's.

    With ``config.krr`` off, the teacher's own predictions are the pseudo-labels.
    """
    if not config.krr:
        return PseudoLabels(block.scores)
    regression = KernelRidge(gamma=config.gamma, alpha=config.alpha, random_state=config.seed)
    regression.fit(labeled.features.astype(np.float64), targets)
    return PseudoLabels(
        regression.predict(block.features.astype(np.float64)),
        float(regression.gamma_),
        float(regression.alpha_),
        regression.loo_rmse_,
    )
