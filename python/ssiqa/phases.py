"""Phase 0, and the phases of a student that is trained: Figure 2 of the paper."""

from __future__ import annotations

import logging
import time
from functools import partial

from ssiqa import distill, holdout, refit, replay, train, trust
from ssiqa.features import Look, predictions
from ssiqa.guard import Guard
from ssiqa.learner import Learner
from ssiqa.material import Material, RatedPhotos
from ssiqa.run import PhaseRecord

logger = logging.getLogger("ssiqa")

FIRST_LOOK = 4
"""Random crops of a photo from which training starts: it will see such crops, however photos are scored."""


def teach(learner: Learner, material: Material) -> PhaseRecord:
    """Phase 0: the learner becomes the teacher, on the training part of A."""
    started = time.perf_counter()
    if learner.config.depths or learner.config.probe_head:
        with learner.observing(0, len(material.truth.photos), crops=FIRST_LOOK) as observer:
            look = Look.join(list(observer.look(material.truth.photos, again=False)))
        with learner.profile.stage("regression", images=len(look.scores), device=learner.device):
            features = train.standardize(learner.model, look.features)
            if learner.config.probe_head:
                train.probe_head(learner.model, features, material.truth.targets)
    losses, fitted = learner.fit(material.truth, phase=0), None
    if learner.config.student is None:
        learner.settle()
        fitted = refit.begin(learner, material)
    return PhaseRecord(
        phase=0,
        losses=losses,
        holdout_srcc=holdout.measure(learner, material, phase=0),
        gamma=None if fitted is None else fitted.gamma,
        alpha=None if fitted is None else fitted.alpha,
        loo_rmse=None if fitted is None else fitted.loo_rmse,
        seconds=time.perf_counter() - started,
    )


def increment(
    learner: Learner, material: Material, block: int, records: list[PhaseRecord], memory: RatedPhotos
) -> PhaseRecord:
    """Phase ``block + 1``: the learner labels the block as teacher, then trains on it as student."""
    started, config, profile = time.perf_counter(), learner.config, learner.profile
    phase, photos, truth = block + 1, material.block_photos(block), material.truth
    earlier = material.learnt(records)
    looked_at = (photos, truth.photos, material.holdout_photos, *(rated.photos for rated in earlier))
    with learner.observing(phase, sum(map(len, looked_at)), each_crop=config.crop_rows) as observer:
        labeled = Look.join(list(observer.look(truth.photos, again=True)))
        with profile.stage("regression", images=len(truth.photos), device=learner.device):
            regression = distill.regression(labeled, truth.targets, material.train_groups, config)
        label = partial(distill.pseudo_labels, regression, config=config, profile=profile)
        labels = label(observer.look(photos, again=phase < config.blocks))
        unseen = label(observer.look(material.holdout_photos, again=True))
        seen = ([labeled], *(observer.look(old.photos, again=True) for old in earlier))
        scores = [predictions(look, config.rows_per_photo) for look in seen]
    coverage = trust.warned(trust.coverage(labels.stds, unseen.stds, material.holdout_groups), phase)
    of_a, of_b = config.replay_pair
    with profile.stage("selection", images=sum(map(len, scores)), device=learner.device):
        exemplars = [
            rated.take(replay.exemplars(predicted, rated.targets, every))
            for rated, predicted, every in zip([truth, *earlier], scores, [of_a, *[of_b] * len(earlier)], strict=True)
        ]
    if memory.photos:
        exemplars.append(memory)
    guard = Guard(learner.model)
    losses = learner.fit(RatedPhotos.join([RatedPhotos(photos, labels.values.cpu().numpy()), *exemplars]), phase)
    verdict = guard.settle(lambda: holdout.measure(learner, material, phase), holdout.floor(records[0], config))
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
        gamma=None if regression is None else regression.gamma,
        alpha=None if regression is None else regression.alpha,
        loo_rmse=None if regression is None else regression.loo_rmse,
        stds=None if labels.stds is None else labels.stds.tolist(),
        std_limit=None if coverage is None else coverage.limit,
        uncovered=None if coverage is None else coverage.uncovered,
        usual=None if coverage is None else coverage.usual,
        label_srcc=holdout.srcc(unseen.values, material),
        regression_srcc=holdout.srcc(unseen.regression, material),
        holdout_srcc=verdict.srcc,
        refused_srcc=verdict.refused,
        step=verdict.step,
    )
