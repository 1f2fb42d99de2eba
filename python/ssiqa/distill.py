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
        regression: ``(n,)`` those of the regression; the teacher's without one.
        stds: ``(n,)`` posterior standard deviation of each label, None without a regression.
    """

    values: NDArray[np.float64]
    teacher: NDArray[np.float64]
    regression: NDArray[np.float64]
    stds: NDArray[np.float64] | None


def regression(
    labeled: Views, targets: NDArray[np.float64], groups: NDArray[np.int64] | None, config: Config
) -> KernelRidge | None:
    """Fit equation (1) of the paper on A's features and truth; None where the settings have ``krr`` off."""
    if not config.krr:
        return None
    fitted = KernelRidge(gamma=config.gamma, alpha=config.alpha, random_state=config.seed)
    return fitted.fit(labeled.features.astype(np.float64), targets, groups)


def pseudo_labels(
    fitted: KernelRidge | None, photos: Iterable[Views], teacher_share: float, profile: Profile
) -> PseudoLabels:
    """Evaluate equation (3) on photos' features as they come; without a regression, the teacher's own predictions.

    Args:
        fitted: What :func:`regression` gave.
        photos: What the teacher sees in n photos, some at a time.
        teacher_share: Share (0..1) of the teacher's predictions in the labels; 0 in the paper.
        profile: Told where the time goes.
    """
    teacher, means, stds = [], [], []
    for views in photos:
        teacher.append(views.scores)
        if fitted is not None:
            with profile.stage("regression", images=len(views.scores)):
                mean, std = fitted.predict(views.features.astype(np.float64), return_std=True)
            means.append(mean)
            stds.append(std)
    own = np.concatenate(teacher)
    if fitted is None:
        return PseudoLabels(own, own, own, None)
    regressed = np.concatenate(means)
    values = (1 - teacher_share) * regressed + teacher_share * own
    return PseudoLabels(values, own, regressed, np.concatenate(stds))
