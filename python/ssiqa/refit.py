"""The phases of a network that stays: the student is a regression, fitted to A's truth and to B's pseudo-labels."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssiqa import distill, holdout, kernels, trust
from ssiqa.features import Look
from ssiqa.guard import Verdict, stands
from ssiqa.kernel_head import KernelHead, Remembered
from ssiqa.learner import Learner
from ssiqa.material import Material
from ssiqa.neighbourhoods import neighbourhoods
from ssiqa.ridge import Regression
from ssiqa.run import PhaseRecord
from ssiqa.views import FEWEST, pseudo_labels

logger = logging.getLogger("ssiqa")

SAME = 0.01
"""Squared distance of a photo to itself, in units of the usual one to another, however its features were computed."""


def begin(learner: Learner, material: Material) -> Regression:
    """The settled network scores together with a regression on A from now on; how that was chosen.

    Its width and penalty are chosen for a regression on the truth; it is fitted to what the network leaves of that.
    """
    truth = material.truth
    with learner.observing(0, len(truth.photos)) as observer:
        known = Look.join(list(observer.look(truth.photos, again=True)))
    with learner.profile.stage("regression", images=len(truth.photos), device=learner.device):
        fitted = distill.regression(known, truth.targets, material.train_groups, learner.config)
        assert fitted is not None, "Config has krr with such a student"
        learner.model.regression = _head(learner, [_left(learner, known, truth.targets)], fitted.gamma, fitted.alpha)
    return fitted


def refit(
    learner: Learner, material: Material, block: int, records: list[PhaseRecord], inherited: KernelHead | None
) -> PhaseRecord:
    """Phase ``block + 1``: the learner labels the block as teacher, and the student is a regression on what was learnt
    so far, the truth of A and the labels of this block and earlier ones.

    Args:
        learner: Settled; its model scores as the teacher.
        material: The run's photos.
        block: Number of the block.
        records: Those of the phases so far.
        inherited: The regression of an earlier run, which is learnt again by its own centres.
    """
    started, profile, truth = time.perf_counter(), learner.profile, material.truth
    phase, photos, (first, *later) = block + 1, material.block_photos(block), records
    standing = [record for record in later if record.step > 0]
    earlier = material.learnt(records)
    looked_at = (photos, truth.photos, material.holdout_photos, *(rated.photos for rated in earlier))
    with learner.observing(phase, sum(map(len, looked_at))) as observer:
        new, known, unseen, *old = (Look.join(list(observer.look(these, again=True))) for these in looked_at)
    with profile.stage("regression", images=len(known.scores) + len(new.scores), device=learner.device):
        assert first.gamma is not None, "phase 0 chose it"
        assert first.alpha is not None, "phase 0 chose it"
        chosen = replace(learner.config, gamma=first.gamma, alpha=first.alpha)
        of_a = distill.regression(known, truth.targets, None, chosen)
        assert of_a is not None, "Config has krr with such a student"
        _, stds = of_a.predict(new.features.double())
        of_holdout, holdout_stds = of_a.predict(unseen.features.double())
        labels = _labels(learner, new, stds)
        learnt = [_left(learner, known, truth.targets), _left(learner, new, labels)]
        learnt += [_left(learner, look, rated.targets) for look, rated in zip(old, earlier, strict=True)]
        remembered = [] if inherited is None else [_remembered(inherited, known, Look.join([new, *old]))]
        every = np.concatenate([*(np.asarray(record.stds) for record in standing), stds.cpu().numpy()])
        settled = len(truth.photos) + sum(len(left) for _, left in remembered)
        alpha = mean_noise(first.alpha, settled, every, of_a.scale)
        student = _head(learner, learnt, first.gamma, alpha, remembered, first.seen)
    coverage = trust.warned(trust.coverage(stds, holdout_stds, material.holdout_groups), phase)
    verdict = _settle(learner, student, unseen, material, holdout.floor(first, learner.config))
    if verdict.step < 1:
        logger.warning("Phase %d: %s", phase, verdict)
    return PhaseRecord(
        phase=phase,
        losses=[],
        seconds=time.perf_counter() - started,
        photos=material.block_names(block),
        pseudo_labels=labels.tolist(),
        teacher_scores=new.scores.tolist(),
        exemplars=[
            len(truth.photos),
            *(len(rated.photos) for rated in earlier),
            *(len(left) for _, left in remembered),
        ],
        gamma=first.gamma,
        alpha=alpha,
        loo_rmse=first.loo_rmse,
        stds=stds.tolist(),
        std_limit=None if coverage is None else coverage.limit,
        uncovered=None if coverage is None else coverage.uncovered,
        usual=None if coverage is None else coverage.usual,
        label_srcc=holdout.srcc(unseen.scores, material),
        regression_srcc=holdout.srcc(of_holdout, material),
        holdout_srcc=verdict.srcc,
        refused_srcc=verdict.refused,
        step=verdict.step,
    )


_Learnt = tuple[Tensor, Tensor]


def _left(learner: Learner, seen: Look, targets: NDArray[np.float64] | Tensor) -> _Learnt:
    """Features, and what the network's own share leaves of targets."""
    return seen.features, torch.as_tensor(targets, device=learner.device) - learner.model.own_share * seen.own


def _remembered(inherited: KernelHead, known: Look, new: Look) -> _Learnt:
    """The centres of an earlier run's regression that are not learnt anyway, and what it said of them.

    A's truth is there, and photos that are in the new folder again are labelled anew. They are known by their distance,
    because features computed on another machine are not quite the same.
    """
    inherited = inherited.to(known.features.device)
    from_a, from_b = (kernels.squared_distances(inherited.centres, seen.features) for seen in (known, new))
    same = SAME * from_a.median()
    not_of_a, again = from_a.amin(dim=1) > same, from_b.amin(dim=1) <= same
    centres = inherited.centres[not_of_a & ~again]
    logger.info("%d photos of earlier runs are remembered.", len(centres))
    if found := int((not_of_a & again).sum()):
        logger.info("%d more are here again, and labelled anew.", found)
    return centres, inherited(centres).double()


def _head(
    learner: Learner,
    learnt: list[_Learnt],
    gamma: float,
    alpha: float,
    remembered: Sequence[_Learnt] = (),
    seen: int = 0,
) -> KernelHead:
    features, left = (torch.cat(parts) for parts in zip(*learnt, *remembered, strict=True))
    last = Remembered(sum(len(of_earlier) for _, of_earlier in remembered), seen)
    return KernelHead.fit(features, left, gamma=gamma, alpha=alpha, seed=learner.config.seed, remembered=last)


def _settle(learner: Learner, student: KernelHead, unseen: Look, material: Material, floor: float) -> Verdict:
    """The student in the teacher's place, or where A's hold-out forbids it the teacher as it was."""
    teacher, learner.model.regression = learner.model.regression, student
    srcc = holdout.srcc(learner.score(unseen), material)
    if stands(srcc, floor):
        return Verdict(1.0, srcc)
    learner.model.regression = teacher
    return Verdict(0.0, holdout.srcc(unseen.scores, material), srcc)


def _labels(learner: Learner, new: Look, stds: Tensor) -> Tensor:
    """Pseudo-labels of a block, by the teacher, how uncertain A leaves it, and views of the block."""
    if len(new.scores) < FEWEST:
        logger.info("Labels are the teacher's alone: views of a block take %d photos or more.", FEWEST)
        return new.scores
    widths, seed = learner.model.reader.widths, learner.config.seed
    return pseudo_labels(new.features, widths, new.scores, stds, neighbourhoods(new.features, seed), seed)


def mean_noise(alpha: float, settled: int, stds: NDArray[np.float64], scale: float) -> float:
    """The penalty of a regression on truth and pseudo-labels: their mean noise, in units of the kernel.

    A regression has one penalty for all it learns, so that labels count by how many they are: few of B, whatever they
    are worth, do not blur what A is known by.

    Args:
        alpha: The noise of A's truth, and the least that any label has.
        settled: How many labels have that: A's, and what a regression said before, which is smooth already.
        stds: ``(n,)`` posterior standard deviations of the pseudo-labels, by A alone.
        scale: Of the regression on A that they are of.
    """
    noise = np.maximum(alpha, (stds / scale) ** 2) if scale > 0 else np.full_like(stds, alpha)
    return float((settled * alpha + noise.sum()) / (settled + len(stds)))
