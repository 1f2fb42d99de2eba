"""A's hold-out, by which each phase is measured: what it says of scores, and what a phase must leave of that."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ssiqa.config import Config
from ssiqa.features import predictions
from ssiqa.learner import Learner
from ssiqa.material import Material
from ssiqa.metrics import agreement
from ssiqa.run import PhaseRecord


def measure(learner: Learner, material: Material, phase: int) -> float:
    """SRCC of the learner as it is, by what it sees of photos in a run."""
    with learner.observing(phase, len(material.holdout), "hold-out") as observer:
        scores = predictions(observer.look(material.holdout_photos, again=True))
    return srcc(scores, material)


def srcc(scores: Tensor, material: Material) -> float:
    """Of scores of the hold-out, on the internal scale, with its truth; not-a-number where it is undefined.

    Scores that are not finite are those of a phase that went wrong, which the guard is there to undo.
    """
    if not torch.isfinite(scores).all():
        return math.nan
    return agreement(scores.cpu().numpy(), material.labeled.scale.to_internal(material.holdout_labels)).srcc


def floor(teacher: PhaseRecord, config: Config) -> float:
    """What a phase must leave of the SRCC; not-a-number where that of phase 0 is undefined."""
    return math.nan if teacher.holdout_srcc is None else teacher.holdout_srcc - config.tolerance
