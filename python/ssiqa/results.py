"""What a run leaves: two scorers, a report, the pseudo-labels."""

from __future__ import annotations

import csv
import io
import math
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ssiqa.errors import RunError
from ssiqa.export import ScoringModule, save, trace
from ssiqa.files import read_json, write_json, write_text
from ssiqa.learner import Learner
from ssiqa.material import Material
from ssiqa.metrics import Evaluation, agreement
from ssiqa.progress import Task
from ssiqa.run import Run
from ssiqa.scorer import SCHEMA, Scorer, load
from ssiqa.version import __version__

STUDENT, TEACHER, REPORT, PSEUDO_LABELS = "student.pt", "teacher.pt", "report.json", "pseudo_labels.csv"


@dataclass(frozen=True)
class Adaptation:
    """A finished run.

    Attributes:
        student: The adapted scorer.
        teacher: The scorer before adaptation: the source-only model of phase 0.
        output_dir: Holds ``student.pt``, ``teacher.pt``, ``report.json``, ``pseudo_labels.csv`` and the checkpoints.
        report: What ``report.json`` says.
    """

    student: Scorer
    teacher: Scorer
    output_dir: Path
    report: dict[str, Any]


def is_finished(run: Run) -> bool:
    """The report is written last."""
    return (run.folder / REPORT).is_file()


def skipped_photos(run: Run) -> dict[str, str]:
    """The photos of B that a finished run could not read, with the reason."""
    skipped: dict[str, str] = read_json(run.folder / REPORT)["data"]["unlabeled"]["skipped"]
    return skipped


def load_finished(run: Run) -> Adaptation:
    """The adaptation of a finished run.

    Raises:
        RunError: A scorer is missing.
    """
    missing = [name for name in (STUDENT, TEACHER) if not (run.folder / name).is_file()]
    if missing:
        raise RunError(f"{run.folder} is finished but lacks {missing[0]}; delete {REPORT} in it to make it again.")
    student, teacher = load(run.folder / STUDENT), load(run.folder / TEACHER)
    return Adaptation(student, teacher, run.folder, read_json(run.folder / REPORT))


def finish(run: Run, learner: Learner, material: Material) -> None:
    """Export student and teacher with their scores on A's hold-out, and write the report."""
    holdout = {
        "student": _export(run, learner, material, STUDENT),
        "teacher": _export(run, learner, material, TEACHER, phase=0),
    }
    write_text(run.folder / PSEUDO_LABELS, _pseudo_label_table(run, material))
    report = {
        **run.identity,
        "version": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "scale": material.labeled.scale.to_dict(),
        "data": material.summary(),
        "holdout": {name: evaluation.to_dict() for name, evaluation in holdout.items()},
        "phases": [record.summary() for record in run.records],
    }
    write_json(run.folder / REPORT, report)


def _export(run: Run, learner: Learner, material: Material, name: str, phase: int | None = None) -> Evaluation:
    """Write one scorer, of the learner as it is or as it was after ``phase``; how it does on A's hold-out."""
    if phase is not None:
        run.load_weights(learner.model, phase)
    module = ScoringModule(learner.model, learner.preprocess, material.labeled.scale).cpu().eval()
    traced = trace(module)
    card = {
        "schema": SCHEMA,
        "version": __version__,
        "backbone": learner.config.backbone,
        "scale": material.labeled.scale.to_dict(),
        "preprocess": learner.preprocess.to_dict(),
        "seed": learner.config.seed,
        "fingerprints": material.fingerprints,
    }
    scorer = Scorer(traced, card, torch.device("cpu"))
    # A working image is its own working image: it gets the score of the photo, and is in the cache.
    images = map(learner.photos.working, material.holdout_photos)
    with (
        Task(f"Scoring the hold-out, {name}", len(material.holdout)) as task,
        learner.profile.stage("scoring", images=len(material.holdout)),
    ):
        scores = scorer.score(task.each(images))
    evaluation = agreement(scores, material.holdout_labels)
    with learner.profile.stage("export"):
        save(traced, module, run.folder / name, {**card, "metrics": {"holdout": evaluation.to_dict()}})
    return evaluation


def _pseudo_label_table(run: Run, material: Material) -> str:
    to_user, unit = material.labeled.scale.to_user, material.labeled.scale.std
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["image", "block", "pseudo_label", "teacher_score", "std", "covered"])
    for record in run.records[1:]:
        stds = record.stds or [math.nan] * len(record.photos)
        columns = (record.photos, to_user(record.pseudo_labels), to_user(record.teacher_scores), stds)
        for photo, label, score, std in zip(*columns, strict=True):
            trusted = ["", ""] if record.std_limit is None else [f"{std * unit:.6g}", int(std <= record.std_limit)]
            writer.writerow([photo, record.phase, f"{label:.6g}", f"{score:.6g}", *trusted])
    return table.getvalue()
