"""What a run leaves: two scorers, a report, the pseudo-labels."""

from __future__ import annotations

import csv
import io
import math
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssiqa import exemplars
from ssiqa.config import SCHEMA as CONFIG_SCHEMA
from ssiqa.data import LabelScale
from ssiqa.errors import RunError
from ssiqa.export import Export, ScoringModule, prepare, publish, seal, trace
from ssiqa.features import Look, predictions
from ssiqa.files import read_json, write_json, write_text
from ssiqa.interval import calibrate
from ssiqa.learner import Learner
from ssiqa.material import Material, RatedPhotos
from ssiqa.metrics import agreement
from ssiqa.novelty import ROWS, Novelty, some_rows
from ssiqa.progress import Task
from ssiqa.run import PhaseRecord, Run
from ssiqa.scorer import SCHEMA, STUDENT, Scorer, load
from ssiqa.seeding import generator
from ssiqa.version import __version__

TEACHER, REPORT, PSEUDO_LABELS = "teacher.pt", "report.json", "pseudo_labels.csv"


@dataclass(frozen=True)
class Adaptation:
    """A finished run.

    Attributes:
        student: The adapted scorer.
        teacher: The scorer before adaptation: the source-only model of phase 0.
        output_dir: Holds ``student.pt``, ``teacher.pt``, ``report.json``, ``pseudo_labels.csv`` and the checkpoints.
            The table has a row for each photo of B: ``image``, the path in the folder; ``block``, from 1;
            ``pseudo_label``, what the student was taught, and ``teacher_score``, both on the scale of the labels; and,
            empty without KRR, ``std``, in units of the labels, the posterior standard deviation of the regression on
            A alone, not of the pseudo-label; ``covered``, 1 where that is within what A's hold-out has, else 0.
        report: What ``report.json`` says. ``holdout``, ``interval`` and ``memory`` are of the exported ``student`` and
            ``teacher``, in units of the labels; ``coverage`` is of all of B. ``phases`` has what
            :class:`ssiqa.run.PhaseRecord` says of each, where standard deviations and errors (``std_limit``,
            ``loo_rmse``) are on the internal scale, which is 1 for the labels' standard deviation: times
            ``scale["std"]`` they are in units of the labels.
    """

    student: Scorer
    teacher: Scorer
    output_dir: Path
    report: dict[str, Any]


def is_finished(run: Run) -> bool:
    """The report is written last."""
    return (run.folder / REPORT).is_file()


def read_report(folder: Path) -> dict[str, Any]:
    """Of a finished run.

    Raises:
        RunError: There is none, or it is damaged.
    """
    path = folder / REPORT
    try:
        report: dict[str, Any] = read_json(path)
        if report["schema"] != CONFIG_SCHEMA:
            raise RunError(f"{folder} was made by another version of ssiqa ({report['version']}); make it again.")
        return report
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RunError(f"{folder} holds no finished run: there is no {REPORT} in it.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged; delete it, and the run's own command makes it again.") from error


def skipped_photos(run: Run) -> dict[str, str]:
    """The photos of B that a finished run could not read, with the reason."""
    skipped: dict[str, str] = read_report(run.folder)["data"]["unlabeled"]["skipped"]
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
    return Adaptation(student, teacher, run.folder, read_report(run.folder))


def finish(run: Run, learner: Learner, material: Material, memory: RatedPhotos) -> None:
    """Export student and teacher with their scores on A's hold-out, keep exemplars of B, and write the report.

    Args:
        run: All of its phases are finished.
        learner: With the weights of the last.
        material: The run's photos.
        memory: Exemplars of photos seen before this run.
    """
    scorers = {"student": _prepare(run, learner, material, memory, STUDENT)}
    run.load_weights(learner.model, phase=0)
    scorers["teacher"] = _prepare(run, learner, material, memory, TEACHER)
    with learner.profile.stage("export"):
        publish([export for export, _ in scorers.values()])
    facts = {name: found for name, (_, found) in scorers.items()}
    new = exemplars.of_blocks(material, run.records, learner.config)
    exemplars.save(run.folder / exemplars.FOLDER, RatedPhotos.join([memory, new]), learner.photos)
    write_text(run.folder / PSEUDO_LABELS, _pseudo_label_table(run, material))
    report = {
        **run.identity,
        "version": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "scale": material.labeled.scale.to_dict(),
        "data": material.summary(),
        "holdout": {name: found["holdout"] for name, found in facts.items()},
        "interval": {name: found["interval"] for name, found in facts.items()},
        "coverage": _coverage(run.records[1:]),
        "memory": {name: found["memory"] for name, found in facts.items()},
        "adapted": _adapted(run.records[1:]),
        "phases": [record.summary() for record in run.records],
    }
    write_json(run.folder / REPORT, report)


def _prepare(
    run: Run, learner: Learner, material: Material, memory: RatedPhotos, name: str
) -> tuple[Export, dict[str, Any]]:
    """A scorer of the learner as it is; how it does on A's hold-out and memory."""
    novelty, remembered = _novelty(learner, material), _remembered(learner, memory, material.labeled.scale)
    module = ScoringModule(learner.model, learner.preprocess, material.labeled.scale, novelty).cpu().eval()
    card = {
        "schema": SCHEMA,
        "version": __version__,
        "backbone": learner.config.backbone,
        "scale": material.labeled.scale.to_dict(),
        "preprocess": learner.preprocess.to_dict(),
        "seed": learner.config.seed,
        "fingerprints": material.fingerprints,
        "adapted": name == STUDENT and _adapted(run.records[1:]),
        "coverage": _coverage(run.records[1:]),
    }
    traced = trace(module)
    scorer = Scorer(seal(traced), card, torch.device("cpu"))
    # A working image is its own working image: it gets the score of the photo, and is in the cache.
    images = map(learner.photos.working, material.holdout_photos)
    with (
        Task(f"Scoring the hold-out, {name}", len(material.holdout)) as task,
        learner.profile.stage("scoring", images=len(material.holdout)),
    ):
        scores, intervals = scorer.score(task.each(images), return_interval=True)
    truth, groups = material.holdout_labels, material.holdout_groups
    rng = generator(learner.config.seed, "interval")
    factor, interval = calibrate(np.abs(scores - truth), intervals[:, 1] - scores, groups, rng)
    holdout = agreement(scores, truth).to_dict()
    with learner.profile.stage("export"):
        card |= {"metrics": {"holdout": holdout}, "interval": interval.to_dict()}
        export = prepare(seal(traced, factor), module, run.folder / name, card, factor)
    return export, {"holdout": holdout, "interval": interval.to_dict(), "memory": remembered}


def _remembered(learner: Learner, memory: RatedPhotos, scale: LabelScale) -> dict[str, float | int] | None:
    """How far the learner's scores of photos seen before the run are from what it learnt of them, in label units."""
    if not memory.photos:
        return None
    with learner.observing(learner.config.blocks, len(memory.photos), "exemplars") as observer:
        scores = predictions(observer.look(memory.photos, again=False)).cpu().numpy()
    rmse = float(np.sqrt(np.mean((scores - memory.targets) ** 2)))
    return {"photos": len(memory.photos), "rmse": rmse * scale.std}


def _novelty(learner: Learner, material: Material) -> Novelty:
    """Of photos to the learner as it is, by some photos of A."""
    seed, groups = learner.config.seed, material.train_groups
    rows = some_rows(groups, ROWS, generator(seed, "novelty"))
    known = material.truth.take(rows)
    with learner.observing(learner.config.blocks, len(known.photos), "known photos") as observer:
        look = Look.join(list(observer.look(known.photos, again=True)))
    return Novelty(look.features.cpu().numpy(), known.targets, groups[rows], seed)


def _adapted(records: list[PhaseRecord]) -> bool:
    """Whether anything stands of what the phases on B changed."""
    return any(record.step > 0 for record in records)


def _coverage(records: list[PhaseRecord]) -> dict[str, float] | None:
    """Share of B's photos that are unlike A's, over all phases, and what would be usual; None without KRR."""
    measured = [(record.uncovered, record.usual) for record in records if record.uncovered is not None]
    if not measured:
        return None
    found = np.average(np.array(measured, np.float64), axis=0, weights=[len(record.photos) for record in records])
    return dict(zip(("uncovered", "usual"), found.tolist(), strict=True))


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
