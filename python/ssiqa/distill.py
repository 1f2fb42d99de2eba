"""Pseudo-labels: what kernel ridge regression on the teacher's features says of photos nobody has rated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssiqa.config import Config
from ssiqa.features import Views
from ssiqa.krr import KernelRidge
from ssiqa.profile import Profile


@dataclass(frozen=True)
class PseudoLabels:
    """Labels of a block on the internal scale.

    Attributes:
        values: ``(n,)`` pseudo-labels.
        teacher: ``(n,)`` the teacher's own predictions.
    """

    values: NDArray[np.float64]
    teacher: NDArray[np.float64]


def regression(labeled: Views, targets: NDArray[np.float64], config: Config) -> KernelRidge | None:
    """Fit equation (1) of the paper on A's features and truth; None where the settings have ``krr`` off."""
    if not config.krr:
        return None
    fitted = KernelRidge(gamma=config.gamma, alpha=config.alpha, random_state=config.seed)
    return fitted.fit(labeled.features.astype(np.float64), targets)


def pseudo_labels(fitted: KernelRidge | None, block: Iterable[Views], profile: Profile) -> PseudoLabels:
    """Evaluate equation (3) on a block's features as they come; without a regression, the teacher's own predictions."""
    values, teacher = [], []
    for views in block:
        with profile.stage("regression", images=len(views.scores)):
            values.append(views.scores if fitted is None else fitted.predict(views.features.astype(np.float64)))
        teacher.append(views.scores)
    return PseudoLabels(np.concatenate(values), np.concatenate(teacher))
