"""The method, phase by phase: Figure 2 of the paper."""

from __future__ import annotations

import time
from os import PathLike
from pathlib import Path
from typing import Any

from ssiqa import distill, replay, train
from ssiqa.config import make_config
from ssiqa.device import pick_device
from ssiqa.learner import Learner
from ssiqa.material import Material, OnError, RatedPhotos, gather
from ssiqa.results import Adaptation, finish, is_finished, load_finished
from ssiqa.run import PhaseRecord, check_folder, open_run


def adapt(
    labeled_dir: str | PathLike[str],
    unlabeled_dir: str | PathLike[str],
    output_dir: str | PathLike[str] | None = None,
    *,
    preset: str = "default",
    device: str = "auto",
    on_error: OnError = "raise",
    **settings: Any,
) -> Adaptation:
    """Train a scorer on labelled photos (A) and adapt it to unlabelled photos of another kind (B).

    A run that was interrupted goes on after its last finished phase when called again with the same arguments; a
    finished one is loaded.

    Args:
        labeled_dir: Photos at any depth and ``labels.csv`` with columns ``image`` (or ``file``, ``path``), ``mos`` (or
            ``dmos``, ``score``), and optionally ``group``; photos of a group stay on one side of the hold-out split.
        unlabeled_dir: Photos at any depth.
        output_dir: Where the run is kept; by default ``runs/<labeled>-to-<unlabeled>`` in the current folder.
        preset: ``"default"`` (embedded backbone, made for CPUs) or ``"paper"`` (the paper's backbone and schedule).
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        on_error: What an unreadable unlabelled photo does: ``"raise"``, or ``"skip"`` it and list it in the report.
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
    config, where = make_config(preset, **settings), pick_device(device)
    folder = Path(output_dir or f"runs/{Path(labeled_dir).resolve().name}-to-{Path(unlabeled_dir).resolve().name}")
    identity = config.identity() | {"device": where.type}
    check_folder(folder, identity)
    learner = Learner(config, where)
    material = gather(labeled_dir, unlabeled_dir, config, on_error)
    with open_run(folder, identity | {"fingerprints": material.fingerprints}) as run:
        if is_finished(run):
            return load_finished(run)
        if run.records:
            run.load_weights(learner.model, phase=len(run.records) - 1)
        else:
            run.finish_phase(learner.model, teach(learner, material))
        for block in range(len(run.records) - 1, config.blocks):
            run.finish_phase(learner.model, increment(learner, material, block, run.records))
        return finish(run, learner, material)


def teach(learner: Learner, material: Material) -> PhaseRecord:
    """Phase 0: the learner becomes the teacher, on the training part of A."""
    started = time.perf_counter()
    if learner.config.probe_head:
        (views,) = learner.observe([material.truth.photos], phase=0)
        train.probe_head(learner.model, views.features, material.truth.targets)
    losses = learner.fit(material.truth, phase=0)
    return PhaseRecord(phase=0, losses=losses, seconds=time.perf_counter() - started)


def increment(learner: Learner, material: Material, block: int, records: list[PhaseRecord]) -> PhaseRecord:
    """Phase ``block + 1``: the learner labels the block as teacher, then trains on it as student."""
    started = time.perf_counter()
    phase, photos = block + 1, material.block_photos(block)
    memory = [material.truth]
    memory += [RatedPhotos(material.block_photos(old), records[old + 1].targets) for old in range(block)]
    seen, *remembered = learner.observe([photos, *(rated.photos for rated in memory)], phase)

    labels = distill.pseudo_labels(remembered[0], material.truth.targets, seen, learner.config)
    exemplars = [
        rated.take(replay.exemplars(views.scores, rated.targets, learner.config.replay_every))
        for rated, views in zip(memory, remembered, strict=True)
    ]
    losses = learner.fit(RatedPhotos.join([RatedPhotos(photos, labels.values), *exemplars]), phase)
    return PhaseRecord(
        phase=phase,
        losses=losses,
        seconds=time.perf_counter() - started,
        photos=material.block_names(block),
        pseudo_labels=labels.values.tolist(),
        teacher_scores=seen.scores.tolist(),
        exemplars=[len(rated.photos) for rated in exemplars],
        gamma=labels.gamma,
        alpha=labels.alpha,
        loo_rmse=labels.loo_rmse,
    )
