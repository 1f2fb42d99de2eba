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
from ssiqa.features import Look, of_photos
from ssiqa.profile import Profile
from ssiqa.ridge import Regression

MANY_CROPS = 20_000
"""From twice as many on a regression on single crops learns every k-th, as the authors' published code does: so
that it has up to twice as many rows."""


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
    labeled: Look, targets: NDArray[np.float64], groups: NDArray[np.int64] | None, config: Config
) -> Regression | None:
    """Fit equation (1) of the paper on A's features and truth; None where the settings have ``krr`` off.

    Args:
        labeled: What the teacher sees in A's n photos, as many rows of each as the settings say.
        targets: ``(n,)`` truth on the internal scale.
        groups: ``(n,)``; photos of one are near-duplicates. None: each is its own.
        config: The settings.
    """
    if not config.krr:
        return None
    rows = np.repeat(np.arange(len(targets)), config.rows_per_photo)
    learnt = slice(None, None, max(1, len(rows) // MANY_CROPS) if config.crop_rows else 1)
    rows, features = rows[learnt], labeled.features[learnt].double()
    truth = torch.from_numpy(targets[rows]).to(features.device)
    if groups is not None:
        groups = groups[rows]
    elif config.crop_rows:
        groups = rows  # crops of a photo are near-duplicates
    return ridge.fit(features, truth, groups, gamma=config.gamma, alpha=config.alpha, seed=config.seed)


def pseudo_labels(fitted: Regression | None, photos: Iterable[Look], config: Config, profile: Profile) -> PseudoLabels:
    """Evaluate equation (3) on photos' features as they come; without a regression, the teacher's own predictions.

    Args:
        fitted: What :func:`regression` gave.
        photos: What the teacher sees in n photos, some at a time.
        config: Its ``teacher_share`` is that of the teacher's predictions in the labels; what is said of several rows
            of a photo is averaged.
        profile: Told where the time goes.
    """
    teacher, means, stds = [], [], []
    for look in photos:
        teacher.append(look.scores)
        if fitted is not None:
            with profile.stage("regression", images=len(look.scores), device=look.features.device):
                mean, std = fitted.predict(look.features.double())
            means.append(mean)
            stds.append(std)
    rows = config.rows_per_photo
    own = of_photos(torch.cat(teacher), rows)
    if fitted is None:
        return PseudoLabels(own, own, own, None)
    regressed = of_photos(torch.cat(means), rows)
    values = (1 - config.teacher_share) * regressed + config.teacher_share * own
    return PseudoLabels(values, own, regressed, of_photos(torch.cat(stds), rows))
