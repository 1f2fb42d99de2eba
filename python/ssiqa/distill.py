"""Pseudo-labels: what kernel ridge regression on the teacher's features says of photos nobody has rated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssiqa import ridge
from ssiqa.config import Config
from ssiqa.features import Views
from ssiqa.profile import Profile
from ssiqa.ridge import Regression


@dataclass(frozen=True)
class PseudoLabels:
    """Labels of a block on the internal scale, where the features were.

    Attributes:
        values: ``(n,)`` pseudo-labels.
        teacher: ``(n,)`` the teacher's own predictions.
        regression: ``(n,)`` those of the regression; the teacher's without one.
        stds: ``(n,)`` posterior standard deviation of each label, None without a regression.
    """

    values: Tensor
    teacher: Tensor
    regression: Tensor
    stds: Tensor | None


def regression(
    labeled: Views, targets: NDArray[np.float64], groups: NDArray[np.int64] | None, config: Config
) -> Regression | None:
    """Fit equation (1) of the paper on A's features and truth; None where the settings have ``krr`` off."""
    if not config.krr:
        return None
    truth = torch.from_numpy(targets).to(labeled.features.device)
    features = labeled.features.double()
    return ridge.fit(features, truth, groups, gamma=config.gamma, alpha=config.alpha, seed=config.seed)


def pseudo_labels(
    fitted: Regression | None, photos: Iterable[Views], teacher_share: float, profile: Profile
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
            with profile.stage("regression", images=len(views.scores), device=views.features.device):
                mean, std = fitted.predict(views.features.double())
            means.append(mean)
            stds.append(std)
    own = torch.cat(teacher)
    if fitted is None:
        return PseudoLabels(own, own, own, None)
    regressed = torch.cat(means)
    values = (1 - teacher_share) * regressed + teacher_share * own
    return PseudoLabels(values, own, regressed, torch.cat(stds))
