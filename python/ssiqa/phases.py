"""What a run does, phase by phase: Figure 2 of the paper, and what the default does in its place."""

from __future__ import annotations

import logging
import math
import time
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from ssiqa import distill, replay, train, trust
from ssiqa.config import Config
from ssiqa.features import Views, predictions
from ssiqa.guard import Guard, Verdict
from ssiqa.kernel_head import KernelHead
from ssiqa.learner import Learner
from ssiqa.material import Material, RatedPhotos
from ssiqa.metrics import agreement
from ssiqa.run import PhaseRecord
from ssiqa.views import FEWEST, second_view

logger = logging.getLogger("ssiqa")


def teach(learner: Learner, material: Material) -> PhaseRecord:
    """Phase 0: the learner becomes the teacher, on the training part of A."""
    started = time.perf_counter()
    if learner.config.depths or learner.config.probe_head:
        with learner.observing(0, len(material.truth.photos)) as observer:
            views = Views.join(list(observer.look(material.truth.photos, again=True)))
        with learner.profile.stage("regression", images=len(views.scores)):
            features = train.standardize(learner.model, views.features)
            if learner.config.probe_head:
                train.probe_head(learner.model, features, material.truth.targets)
    losses = learner.fit(material.truth, phase=0)
    if learner.config.student is None:
        learner.settle()
        _add_regression(learner, material)
    srcc = _holdout_srcc(learner, material, phase=0)
    return PhaseRecord(phase=0, losses=losses, seconds=time.perf_counter() - started, holdout_srcc=srcc)


def increment(
    learner: Learner, material: Material, block: int, records: list[PhaseRecord], memory: RatedPhotos
) -> PhaseRecord:
    """Phase ``block + 1``: the learner labels the block as teacher, then trains on it as student."""
    started, config, profile = time.perf_counter(), learner.config, learner.profile
    phase, photos, truth = block + 1, material.block_photos(block), material.truth
    earlier = [RatedPhotos(material.block_photos(old), records[old + 1].targets) for old in range(block)]
    looked_at = (photos, truth.photos, material.holdout_photos, *(rated.photos for rated in earlier))
    with learner.observing(phase, sum(map(len, looked_at))) as observer:
        labeled = Views.join(list(observer.look(truth.photos, again=True)))
        with profile.stage("regression", images=len(truth.photos)):
            regression = distill.regression(labeled, truth.targets, material.train_groups, config)
        label = partial(distill.pseudo_labels, regression, teacher_share=config.teacher_share, profile=profile)
        labels = label(observer.look(photos, again=phase < config.blocks))
        unseen = label(observer.look(material.holdout_photos, again=True))
        scores = [labeled.scores, *(predictions(observer.look(old.photos, again=True)) for old in earlier)]
    coverage = _warned(trust.coverage(labels.stds, unseen.stds), phase)
    of_a, of_b = config.replay_pair
    with profile.stage("selection", images=sum(map(len, scores))):
        exemplars = [
            rated.take(replay.exemplars(predicted, rated.targets, every))
            for rated, predicted, every in zip([truth, *earlier], scores, [of_a, *[of_b] * block], strict=True)
        ]
    if memory.photos:
        exemplars.append(memory)
    guard = Guard(learner.model)
    losses = learner.fit(RatedPhotos.join([RatedPhotos(photos, labels.values), *exemplars]), phase)
    verdict = guard.settle(lambda: _holdout_srcc(learner, material, phase), _floor(records[0], config))
    if verdict.step < 1:
        logger.warning("Phase %d: %s", phase, verdict)
    return PhaseRecord(
        phase=phase,
        losses=losses,
        seconds=time.perf_counter() - started,
        photos=material.block_names(block),
        pseudo_labels=labels.values.tolist(),
        teacher_scores=labels.teacher.tolist(),
        exemplars=[len(rated.photos) for rated in exemplars],
        gamma=None if regression is None else float(regression.gamma_),
        alpha=None if regression is None else float(regression.alpha_),
        loo_rmse=None if regression is None else regression.loo_rmse_,
        stds=None if labels.stds is None else labels.stds.tolist(),
        std_limit=None if coverage is None else coverage.limit,
        uncovered=None if coverage is None else coverage.uncovered,
        label_srcc=_srcc(unseen.values, material),
        regression_srcc=_srcc(unseen.regression, material),
        holdout_srcc=verdict.srcc,
        step=verdict.step,
    )


def refit(
    learner: Learner, material: Material, block: int, records: list[PhaseRecord], inherited: KernelHead | None
) -> PhaseRecord:
    """Phase ``block + 1`` of a network that stays: the learner labels the block as teacher, and the student is a
    regression on what was learnt so far, the truth of A and the labels of this block and earlier ones.

    Args:
        learner: Settled; its model scores as the teacher.
        material: The run's photos.
        block: Number of the block.
        records: Those of the phases so far.
        inherited: The regression of an earlier run, which is learnt again by its own centres.
    """
    started, config, profile, model = time.perf_counter(), learner.config, learner.profile, learner.model
    phase, photos, truth = block + 1, material.block_photos(block), material.truth
    stand = [record for record in records[1:] if record.step > 0]
    earlier = [RatedPhotos(material.block_photos(record.phase - 1), record.targets) for record in stand]
    looked_at = (photos, truth.photos, material.holdout_photos, *(rated.photos for rated in earlier))
    with learner.observing(phase, sum(map(len, looked_at))) as observer:
        new, known, unseen, *old = (Views.join(list(observer.look(these, again=True))) for these in looked_at)
    with profile.stage("regression", images=len(known.scores) + len(new.scores)):
        regression = distill.regression(known, truth.targets, material.train_groups, config)
        assert regression is not None, "Config has krr with such a student"
        _, stds = regression.predict(new.features.astype(np.float64), return_std=True)
        of_holdout, holdout_stds = regression.predict(unseen.features.astype(np.float64), return_std=True)
        labels, disagreement = _labels(learner, new)
        apart = _together(stand, disagreement, len(labels))
        alpha = max(float(regression.alpha_), (apart / regression.scale_) ** 2 if regression.scale_ > 0 else 0.0)
        learnt = [(known.features, truth.targets), (new.features, labels)]
        learnt += [(views.features, rated.targets) for views, rated in zip(old, earlier, strict=True)]
        if inherited is not None:
            learnt.append(_remembered(learner, inherited, known.features))
        student = _regression(learner, learnt, float(regression.gamma_), alpha)
    coverage = _warned(trust.coverage(stds, holdout_stds), phase)
    teacher, model.regression = model.regression, student
    verdict = Verdict(1.0, _srcc(learner.score(unseen.features), material))
    floor = _floor(records[0], config)
    if not (verdict.srcc >= floor or math.isnan(floor)):
        model.regression = teacher
        verdict = Verdict(0.0, _srcc(unseen.scores, material))
        logger.warning("Phase %d: %s", phase, verdict)
    return PhaseRecord(
        phase=phase,
        losses=[],
        seconds=time.perf_counter() - started,
        photos=material.block_names(block),
        pseudo_labels=labels.tolist(),
        teacher_scores=new.scores.tolist(),
        exemplars=[len(truth.photos), *(len(rated.photos) for rated in earlier)],
        gamma=float(regression.gamma_),
        alpha=alpha,
        loo_rmse=regression.loo_rmse_,
        stds=stds.tolist(),
        std_limit=None if coverage is None else coverage.limit,
        uncovered=None if coverage is None else coverage.uncovered,
        disagreement=disagreement,
        label_srcc=_srcc(unseen.scores, material),
        regression_srcc=_srcc(of_holdout, material),
        holdout_srcc=verdict.srcc,
        step=verdict.step,
    )


def _add_regression(learner: Learner, material: Material) -> None:
    """The network of phase 0 scores together with a regression on its features from now on."""
    config, truth = learner.config, material.truth
    with learner.observing(0, len(truth.photos)) as observer:
        known = Views.join(list(observer.look(truth.photos, again=True)))
    with learner.profile.stage("regression", images=len(truth.photos)):
        regression = distill.regression(known, truth.targets, material.train_groups, config)
        assert regression is not None, "Config has krr with such a student"
        learner.model.regression = _regression(
            learner, [(known.features, truth.targets)], float(regression.gamma_), float(regression.alpha_)
        )


def _regression(
    learner: Learner, learnt: list[tuple[NDArray[np.float32], NDArray[np.float64]]], gamma: float, alpha: float
) -> KernelHead:
    """Of what the network's own share leaves of the targets of these features."""
    share, features = learner.config.teacher_share, np.concatenate([features for features, _ in learnt])
    targets = np.concatenate([targets for _, targets in learnt]) - share * learner.own(features)
    head = KernelHead.fit(features, targets, gamma=gamma, alpha=alpha, seed=learner.config.seed, own_share=share)
    return head.to(learner.device)


def _remembered(
    learner: Learner, inherited: KernelHead, known: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The centres of an earlier run's regression that are not A's, whose truth is there, and what it said of them."""
    truth = {row.tobytes() for row in known}
    centres = inherited.centres.numpy()
    centres = centres[[row.tobytes() not in truth for row in centres]]
    said = inherited(torch.from_numpy(centres)).double().numpy()
    return centres, said + float(inherited.own_share) * learner.own(centres)


def _labels(learner: Learner, new: Views) -> tuple[NDArray[np.float64], float | None]:
    """Pseudo-labels of a block, and how far apart its two views are, root mean squared; None with one view."""
    *others, last = learner.model.reader.widths
    if not others or len(new.scores) < FEWEST:
        logger.info("Labels are the teacher's alone: there is no second view of so few photos, or of a single depth.")
        return new.scores, None
    seen = second_view(new.features[:, -last:], new.scores, learner.config.seed)
    return (new.scores + seen) / 2, float(np.sqrt(np.mean((new.scores - seen) ** 2)))


def _together(earlier: list[PhaseRecord], disagreement: float | None, photos: int) -> float:
    """How far apart views are in all blocks so far: what is taken for the noise of their labels."""
    measured = [(record.disagreement, len(record.photos)) for record in earlier] + [(disagreement, photos)]
    known = [(apart, count) for apart, count in measured if apart is not None]
    if not known:
        return 0.0
    return float(np.sqrt(np.average([apart**2 for apart, _ in known], weights=[count for _, count in known])))


def _warned(coverage: trust.Coverage | None, phase: int) -> trust.Coverage | None:
    """The coverage; where it is low, that is said once in a run."""
    if phase == 1 and coverage is not None and coverage.is_low:
        logger.warning("%s", coverage)
    return coverage


def _holdout_srcc(learner: Learner, material: Material, phase: int) -> float:
    """Agreement of the learner as it is with the truth of A's hold-out, on weak crops."""
    with learner.observing(phase, len(material.holdout), "hold-out") as observer:
        scores = predictions(observer.look(material.holdout_photos, again=True))
    return _srcc(scores, material)


def _srcc(scores: NDArray[np.float64], material: Material) -> float:
    """Agreement of scores, on the internal scale, with the truth of A's hold-out."""
    return agreement(scores, material.labeled.scale.to_internal(material.holdout_labels)).srcc


def _floor(teacher: PhaseRecord, config: Config) -> float:
    """What a phase must leave of the hold-out's SRCC; not-a-number where that of phase 0 is undefined."""
    return math.nan if teacher.holdout_srcc is None else teacher.holdout_srcc - config.tolerance
