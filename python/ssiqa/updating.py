"""A finished run goes on with new photos, from its memory: its weights, and what it keeps of photos it has seen."""

from __future__ import annotations

from dataclasses import fields, replace
from os import PathLike
from pathlib import Path
from typing import Any

from ssiqa import exemplars
from ssiqa.adaptation import Plan, carry_out
from ssiqa.cache import CACHE_GIB
from ssiqa.config import Config, Schedule
from ssiqa.errors import RunError
from ssiqa.files import sha256
from ssiqa.learner import Learner
from ssiqa.material import Material, OnError
from ssiqa.profile import Profile
from ssiqa.results import Adaptation, read_report
from ssiqa.run import PhaseRecord, Run
from ssiqa.scorer import STUDENT


def update(
    run_dir: str | PathLike[str],
    unlabeled_dir: str | PathLike[str],
    output_dir: str | PathLike[str] | None = None,
    *,
    labeled_dir: str | PathLike[str] | None = None,
    blocks: int = 1,
    weights: str | PathLike[str] | None = None,
    device: str = "auto",
    precision: str = "auto",
    on_error: OnError = "raise",
    cache_dir: str | PathLike[str] | None = None,
    cache_size: float = CACHE_GIB,
    profile: Profile | None = None,
) -> Adaptation:
    """Adapt the student of a finished run to further photos; those it was adapted to are no longer needed.

    The run is left as it is. The new one begins with its student and is guarded by the hold-out of the same labelled
    photos. It learns the centres of the old regression again; a student that is trained replays the old exemplars.
    What was forgotten is in the report: ``holdout`` before and after on A, ``memory`` before and after on the
    exemplars of earlier photos.

    Args:
        run_dir: Folder of a finished run, of :func:`ssiqa.adapt` or of this function.
        unlabeled_dir: New photos at any depth.
        output_dir: Folder of the new run; by default the old one's name with ``-to-`` and the new photos' folder.
        labeled_dir: The run's labelled photos, where they are not any more where they were.
        blocks: How many blocks the new photos are cut into.
        weights: The run's local weight file, where it had one.
        device: As in :func:`ssiqa.adapt`, like all that follow.

    Returns:
        The new student; as teacher, the old one.

    Raises:
        SsiqaError: The run is not finished or damaged, the labelled photos are others, or what ``adapt`` raises.

    Example:
        >>> ssiqa.update("runs/phones-to-web", "new-photos/").student.score("photo.jpg")  # doctest: +SKIP
        61.8
    """
    old = Path(run_dir)
    report = read_report(old)
    labeled = Path(labeled_dir or report["data"]["labeled"]["folder"])
    if not labeled.is_dir():
        raise RunError(f"The labelled photos of {old} are no longer in {labeled}; say where they are (labeled_dir).")
    parent = Run(old, {})
    last = len(report["phases"]) - 1
    if len(parent.records) != len(report["phases"]):
        raise RunError(f"{old} lacks checkpoints of its phases, from which an update goes on; bring them back.")

    def accept(material: Material) -> None:
        if material.fingerprints["labeled"] != report["fingerprints"]["labeled"]:
            raise RunError(f"{labeled} no longer holds what {old} was trained on; an update needs the same photos.")

    def inherit(learner: Learner, material: Material) -> PhaseRecord:
        """Phase 0: the student of the old run, to be measured by the hold-out that its first teacher left."""
        parent.load_weights(learner.model, last)
        if config.student is None:
            learner.settle()
        first, *later = parent.records
        seen = first.seen + sum(len(record.photos) for record in later if record.step > 0)
        return replace(first, losses=[], seconds=0.0, seen=seen)

    beside = old.resolve()
    if beside.is_relative_to(Path(unlabeled_dir).resolve()):
        raise RunError(f"{old} lies in {unlabeled_dir}, where its exemplars would count as new photos; move it out.")
    folder = Path(output_dir or beside.with_name(f"{beside.name}-to-{Path(unlabeled_dir).resolve().name}"))
    config = replace(_config(report["settings"], weights, old), blocks=blocks)
    if folder.resolve() == beside:
        raise RunError(f"An update of {old} is a run of its own; choose another output folder.")
    if not (old / STUDENT).is_file():
        raise RunError(
            f"{old} holds no {STUDENT}, from which an update goes on; delete report.json in it, and the command that "
            "made the run writes both again."
        )
    memory, identity = exemplars.load(old / exemplars.FOLDER), {"continues": sha256(old / STUDENT)}
    return carry_out(
        Plan(
            labeled,
            Path(unlabeled_dir),
            folder,
            config,
            inherit,
            accept,
            memory,
            parent.regression(last),
            identity,
        ),
        device=device,
        precision=precision,
        on_error=on_error,
        cache_dir=cache_dir,
        cache_size=cache_size,
        profile=profile,
    )


def _config(settings: dict[str, Any], weights: str | PathLike[str] | None, old: Path) -> Config:
    """The settings of the old run; of its weight file they hold the SHA-256."""
    known = {field.name: settings[field.name] for field in fields(Config) if field.name in settings}
    known |= {name: Schedule(**known[name]) for name in ("teacher", "student") if known[name] is not None}
    if known["weights"] is not None:
        if weights is None or not Path(weights).is_file() or sha256(Path(weights)) != known["weights"]:
            raise RunError(f"{old} began from a local weight file; give that file (weights).")
        known["weights"] = str(Path(weights).resolve())
    elif weights is not None:
        raise RunError(f"{old} began from no local weight file; leave {weights} out (weights).")
    return Config(**known)
