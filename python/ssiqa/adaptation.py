"""The method, phase by phase: Figure 2 of the paper."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssiqa import distill, replay, train, trust
from ssiqa.cache import CACHE_GIB, open_cache
from ssiqa.config import Config, make_config
from ssiqa.device import pick_device, pick_precision
from ssiqa.errors import RunError
from ssiqa.features import Views, predictions
from ssiqa.guard import Guard
from ssiqa.learner import Learner
from ssiqa.material import Material, OnError, RatedPhotos, fingerprints, gather
from ssiqa.metrics import agreement
from ssiqa.profile import Profile
from ssiqa.results import Adaptation, finish, is_finished, load_finished, skipped_photos
from ssiqa.run import PhaseRecord, Run, open_run

logger = logging.getLogger("ssiqa")

OWN_CACHE = ".cache"
"""Beside the checkpoints, until the run is finished."""


def adapt(
    labeled_dir: str | PathLike[str],
    unlabeled_dir: str | PathLike[str],
    output_dir: str | PathLike[str] | None = None,
    *,
    preset: str = "default",
    device: str = "auto",
    precision: str = "auto",
    on_error: OnError = "raise",
    cache_dir: str | PathLike[str] | None = None,
    cache_size: float = CACHE_GIB,
    profile: Profile | None = None,
    **settings: Any,
) -> Adaptation:
    """Train a scorer on labelled photos (A) and adapt it to unlabelled photos of another kind (B).

    A run that was interrupted goes on after its last finished phase when called again with the same arguments; a
    finished one is loaded, once the folders' contents have been compared.

    Args:
        labeled_dir: Photos at any depth and ``labels.csv`` with columns ``image`` (or ``file``, ``path``), ``mos`` (or
            ``dmos``, ``score``), and optionally ``group``; photos of a group stay on one side of the hold-out split.
        unlabeled_dir: Photos at any depth.
        output_dir: Where the run is kept; by default ``runs/<labeled>-to-<unlabeled>`` in the current folder.
        preset: ``"default"`` (embedded backbone, made for CPUs) or ``"paper"`` (the paper's backbone and schedule).
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        precision: ``"float32"``, ``"bfloat16"`` (mixed with float32) or ``"auto"``: the second where the device
            computes it natively.
        on_error: What an unreadable unlabelled photo does: ``"raise"``, or ``"skip"`` it and list it in the report.
        cache_dir: Where decoded photos and the activations of frozen layers are kept, for this run and others that
            share the folder; by default in the run's folder, until the run is finished.
        cache_size: GiB that it may hold. What it does not hold is made anew each time it is needed.
        profile: Told where the time goes.
        **settings: Any field of :class:`ssiqa.Config`, for example ``backbone``, ``weights``, ``blocks``, ``seed``,
            ``gamma``, ``alpha``, ``krr=False`` or ``replay_every=0``.

    Returns:
        The student, the teacher of phase 0, and what is known of them.

    Raises:
        SsiqaError: Bad input, named in one sentence, before any training starts; or a failure named likewise.

    Example:
        >>> adaptation = ssiqa.adapt("labeled/", "unlabeled/")  # doctest: +SKIP
        >>> adaptation.student.score("photo.jpg")  # doctest: +SKIP
        63.1
    """
    folder = Path(output_dir or f"runs/{Path(labeled_dir).resolve().name}-to-{Path(unlabeled_dir).resolve().name}")
    return carry_out(
        Plan(Path(labeled_dir), Path(unlabeled_dir), folder, make_config(preset, **settings), teach),
        device=device,
        precision=precision,
        on_error=on_error,
        cache_dir=cache_dir,
        cache_size=cache_size,
        profile=profile,
    )


@dataclass(frozen=True)
class Plan:
    """What a run is to do.

    Attributes:
        labeled_dir: A.
        unlabeled_dir: B.
        folder: Of the run.
        config: The settings.
        begin: Phase 0: gives the learner the weights of the first teacher.
        memory: Exemplars of photos seen before this run.
        identity: What else makes this run another than one on the same photos with the same settings.
    """

    labeled_dir: Path
    unlabeled_dir: Path
    folder: Path
    config: Config
    begin: Callable[[Learner, Material], PhaseRecord]
    memory: RatedPhotos = field(default_factory=RatedPhotos.none)
    identity: dict[str, Any] = field(default_factory=dict)


def carry_out(
    plan: Plan,
    *,
    device: str,
    precision: str,
    on_error: OnError,
    cache_dir: str | PathLike[str] | None,
    cache_size: float,
    profile: Profile | None,
) -> Adaptation:
    """Go through the phases of a plan that are not finished; the arguments are those of :func:`adapt`."""
    where = pick_device(device)
    numbers = pick_precision(precision, where)
    identity = plan.config.identity() | {"device": where.type, "precision": numbers} | plan.identity
    cache = open_cache(_cache_folder(cache_dir, plan.folder), cache_size)
    with open_run(plan.folder, identity) as run:
        if is_finished(run):
            run.claim(fingerprints(plan.labeled_dir, plan.unlabeled_dir, without=skipped_photos(run)))
        else:
            learner = Learner(plan.config, where, numbers, cache, profile or Profile())
            material = gather(plan.labeled_dir, plan.unlabeled_dir, plan.config, on_error, learner.photos)
            run.claim(material.fingerprints)
            _go_on(run, learner, material, plan)
        if cache_dir is None:
            cache.remove()
        return load_finished(run)


def _cache_folder(given: str | PathLike[str] | None, run: Path) -> Path:
    if given is None:
        return run / OWN_CACHE
    if Path(given).resolve().is_relative_to(run.resolve()):
        raise RunError(
            f"The cache folder {given} lies in the run's folder {run}, which holds the run alone; choose another."
        )
    return Path(given)


def _go_on(run: Run, learner: Learner, material: Material, plan: Plan) -> None:
    if run.records:
        run.load_weights(learner.model, phase=len(run.records) - 1)
    while len(run.records) <= learner.config.blocks:
        if run.records:
            record = increment(learner, material, len(run.records) - 1, run.records, plan.memory)
        else:
            record = plan.begin(learner, material)
        with learner.profile.stage("checkpoint"):
            run.finish_phase(learner.model, record)
    finish(run, learner, material, plan.memory)


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
    coverage = trust.coverage(labels.stds, unseen.stds)
    if phase == 1 and coverage is not None and coverage.is_low:
        logger.warning("%s", coverage)

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
