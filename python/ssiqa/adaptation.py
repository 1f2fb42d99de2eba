"""Two folders in, two scorers out: a run from its first phase to its report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from ssiqa.cache import CACHE_GIB, Cache, open_cache
from ssiqa.config import Config, make_config
from ssiqa.device import pick_device_of_runs, pick_precision
from ssiqa.errors import RunError
from ssiqa.kernel_head import KernelHead
from ssiqa.learner import Learner
from ssiqa.material import Material, OnError, RatedPhotos, fingerprints, gather
from ssiqa.phases import increment, teach
from ssiqa.profile import Profile
from ssiqa.refit import refit
from ssiqa.results import Adaptation, finish, is_finished, load_finished, skipped_photos
from ssiqa.run import PhaseRecord, Run, identity_of, open_run

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
        precision: Of training: ``"float32"``, ``"bfloat16"`` (mixed with float32) or ``"auto"``: the second where the
            device computes it natively. Photos are looked at in float32, as exported scorers do. On a GPU torch's own
            settings say what ``"float32"`` is: convolutions are in TF32 unless ``torch.backends.cudnn.allow_tf32`` is
            off.
        on_error: What an unreadable unlabelled photo does: ``"raise"``, or ``"skip"`` it and list it in the report.
        cache_dir: Where decoded photos and the activations of frozen layers are kept, for this run and others that
            share the folder; by default in the run's folder, until the run is finished.
        cache_size: GiB that it may hold. What it does not hold is made anew each time it is needed.
        profile: Told where the time goes.
        **settings: Any field of :class:`ssiqa.Config`, for example ``backbone``, ``weights``, ``blocks``, ``seed``,
            ``gamma``, ``alpha`` or ``student=ssiqa.Schedule(...)``, which trains the network on B, too.

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
        accept: Refuses, by an error, photos that the run cannot be of; nothing has been written then.
        memory: Exemplars of photos seen before this run.
        inherited: The regression that was fitted before this run, where there was one.
        identity: What else makes this run another than one on the same photos with the same settings: the run that it
            goes on from.
    """

    labeled_dir: Path
    unlabeled_dir: Path
    folder: Path
    config: Config
    begin: Callable[[Learner, Material], PhaseRecord]
    accept: Callable[[Material], object] = lambda material: None
    memory: RatedPhotos = field(default_factory=RatedPhotos.none)
    inherited: KernelHead | None = None
    identity: dict[str, Any] = field(default_factory=lambda: {"continues": None})


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
    for photos in (plan.labeled_dir, plan.unlabeled_dir):
        if plan.folder.resolve().is_relative_to(photos.resolve()):
            raise RunError(
                f"The run's folder {plan.folder} lies in {photos}, where its exemplars would count as photos; choose "
                "another (output_dir, -o)."
            )
    where = pick_device_of_runs(device)
    numbers = pick_precision(precision, where)
    identity = identity_of(plan.config, where, numbers) | plan.identity
    cache = open_cache(_cache_folder(cache_dir, plan.folder), cache_size)
    with open_run(plan.folder, identity) as run:
        if is_finished(run):
            run.claim(fingerprints(plan.labeled_dir, plan.unlabeled_dir, without=skipped_photos(run)))
        else:
            learner = Learner(plan.config, where, numbers, cache, profile or Profile())
            material = gather(plan.labeled_dir, plan.unlabeled_dir, plan.config, on_error, learner.photos)
            plan.accept(material)
            run.claim(material.fingerprints)
            _go_on(run, learner, material, plan)
        Cache(plan.folder / OWN_CACHE, 0).remove()  # which an interrupted call may have filled, though this one did not
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
        if learner.config.student is None:
            learner.settle()
    while (phase := len(run.records)) <= learner.config.blocks:
        if phase == 0:
            record = plan.begin(learner, material)
        elif learner.config.student is None:
            record = refit(learner, material, phase - 1, run.records, plan.inherited)
        else:
            record = increment(learner, material, phase - 1, run.records, plan.memory)
        with learner.profile.stage("checkpoint"):
            run.finish_phase(learner.model, record)
    finish(run, learner, material, plan.memory)
