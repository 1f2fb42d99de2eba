"""Does adapting help, and what of it: the parts of the method one by one, on real photos, with seeds in pairs.

python -m benchmarks.adaptation DATA --kept FOLDER [--backbone NAME --weights FILE] [--seeds 5] [--only near,far]
                                     [--parts default] [--found benchmarks/adaptation.csv]

DATA holds biq2021 (ss01, ss03_unlabeled, ss03_test, ss03_unlabeled_oracle.csv) and pcuid (unlabeled, oracle.csv).

    near      ss01 -> ss03_unlabeled, tested on ss03_test
    far       ss01 -> pcuid, tested on it
    reverse   ss03_unlabeled with its oracle's labels -> ss01 without labels, tested on ss01
    bound     trained on ss03_unlabeled with its oracle's labels, tested on ss03_test

Near has every part of the paper's method, with this backbone's schedule; the others have what `adapt` does by default.
Each finished run is a line of the file of what was found, and is not made again; FOLDER keeps decoded photos and phase
0, which runs with the same teacher share: the command goes on where it was stopped. Where the time of a run went is
printed. Labels of B are looked at in the last step alone.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

import ssiqa
from benchmarks.paper import PAPER
from benchmarks.spread import over_seeds
from ssiqa.config import make_config
from ssiqa.data import read_labeled_folder, read_unlabeled_folder
from ssiqa.device import pick_device_of_runs
from ssiqa.files import to_json, write_json, written_beside
from ssiqa.material import fingerprints
from ssiqa.run import CHECKPOINTS, begin_with, of_phase_0
from ssiqa.run import identity_of as run_identity

PARTS: dict[str, dict[str, Any]] = {
    "baseline": PAPER | {"krr": False, "blocks": 1, "replay_every": 0},
    "+IL": PAPER | {"krr": False},
    "+KRR": PAPER | {"blocks": 1, "replay_every": 0},
    "full paper": PAPER,
    "default": {},
}
# What each is to be better than, seed by seed.
BESIDE = {"+IL": "baseline", "+KRR": "baseline", "full paper": "+KRR", "default": "full paper"}
# What every machine computes, so that lines made on different ones are of the same settings.
PRECISION = "float32"
FOLDER = Path(__file__).parent
TASKS = ("near", "far", "reverse", "bound")


class Task(NamedTuple):
    """Two folders, and rated photos of the second's kind."""

    labeled: Path
    unlabeled: Path
    test: Path
    parts: dict[str, dict[str, Any]]
    same_scale: bool = True


class Row(NamedTuple):
    """What came of one run.

    Attributes:
        task: Name of the task.
        part: Of the method.
        backbone: Of the network.
        seed: Of the run.
        settings: Digest of all settings, weights, device and precision included; a row is found again by it.
        teacher: SRCC on B's test photos.
        student: The same, adapted.
        teacher_holdout: SRCC on A's hold-out.
        student_holdout: The same, adapted.
        teacher_covered: Share of B's test photos whose opinion the teacher's 90 % interval holds; nothing where
            opinions on B have another scale than those on A.
        student_covered: The same, adapted.
        holdout_covered: That of the student on A's hold-out, each photo by what was calibrated on the others.
        uncovered: Share of B that A does not cover; nothing without a regression.
        undone: Phases of which not all stands.
        teaching: Seconds of phase 0, wherever it was made.
        adapting: Seconds of all other phases.
        code: Commit that made it; empty where that was not kept.
    """

    task: str
    part: str
    backbone: str
    seed: int
    settings: str
    teacher: float
    student: float
    teacher_holdout: float
    student_holdout: float
    teacher_covered: float | None
    student_covered: float | None
    holdout_covered: float
    uncovered: float | None
    undone: int
    teaching: float
    adapting: float
    code: str


def main() -> None:
    parser = argparse.ArgumentParser(description="Does adapting help, and what of it.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--kept", type=Path, required=True, help="folder for runs, decoded photos and phase 0")
    parser.add_argument("--found", type=Path, default=Path(__file__).with_suffix(".csv"), help="a line for each run")
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", type=some_of(TASKS), default=TASKS)
    parser.add_argument(
        "--parts",
        type=some_of(PARTS),
        default=PARTS,
        help=f"only these: {','.join(PARTS)} (other tasks than near have the last alone)",
    )
    arguments = parser.parse_args()
    backbone = {"backbone": arguments.backbone, "weights": arguments.weights}
    tasks = find_tasks(arguments.data, arguments.kept)
    for name in arguments.only:
        parts = {part: settings for part, settings in tasks[name].parts.items() if part in arguments.parts}
        rows = [
            row_of(arguments.found, arguments.kept, name, tasks[name], part, settings | backbone | {"seed": seed})
            for seed in range(arguments.seeds)  # seed by seed: pairs are complete early
            for part, settings in parts.items()
        ]
        print(f"\n{name}, {arguments.backbone}, {arguments.seeds} seeds\n\n{table(rows, name == 'bound')}", flush=True)
        if lines := list(beside(rows)):
            print("\n| | on B, by seed | mean, 95 % |\n|---|---|---:|\n" + "\n".join(lines), flush=True)


def some_of(names: Iterable[str]) -> Callable[[str], list[str]]:
    """A reader of some of these names, with commas between them."""

    def read(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := set(chosen).difference(names):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))} is none of {','.join(names)}")
        return chosen

    return read


def find_tasks(data: Path, kept: Path) -> dict[str, Task]:
    biq, pcuid = data / "biq2021", data / "pcuid"
    rated = rated_folder(biq / "ss03_unlabeled", biq / "ss03_unlabeled_oracle.csv", kept / "folders/ss03")
    far = rated_folder(pcuid / "unlabeled", pcuid / "oracle.csv", kept / "folders/pcuid")
    default = {"default": PARTS["default"]}
    return {
        "near": Task(biq / "ss01", biq / "ss03_unlabeled", biq / "ss03_test", PARTS),
        "far": Task(biq / "ss01", pcuid / "unlabeled", far, default, same_scale=False),
        "reverse": Task(rated, biq / "ss01", biq / "ss01", default),
        # Its teacher counts; the fewest photos to adapt to, afterwards.
        "bound": Task(rated, pcuid / "unlabeled", biq / "ss03_test", {"default": {"blocks": 1}}),
    }


def rated_folder(images: Path, table: Path, folder: Path) -> Path:
    """A folder of links to photos, with the labels of an oracle."""
    folder.mkdir(parents=True, exist_ok=True)
    with table.open(newline="") as file:
        labels = {Path(row["image"]).name: row["mos"] for row in csv.DictReader(file)}
    names = [name for name in read_unlabeled_folder(images).images if Path(name).name in labels]
    with written_beside(folder / "labels.csv") as beside, beside.open("w", newline="") as file:  # others may read it
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "mos"])
        writer.writerows([name, labels[Path(name).name]] for name in names)
    for name in names:
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to((images / name).resolve())
    return folder


def row_of(found: Path, kept: Path, name: str, task: Task, part: str, settings: dict[str, Any]) -> Row:
    """The row of one run: from the file, or made and added to it."""
    digest = _digest(identity_of(settings))
    for row in read(found):
        if (row.task, row.part, row.settings) == (name, part, digest):
            return row
    run = kept / "runs" / f"{name} {part} {settings['backbone']} {settings['seed']} {digest}".replace(" ", "-")
    give_phase_0(kept, task, settings, run)
    profile = ssiqa.Profile()
    adaptation = ssiqa.adapt(
        task.labeled,
        task.unlabeled,
        run,
        precision=PRECISION,
        cache_dir=kept / "cache",
        profile=profile,
        **settings,
    )
    print(f"\n{run.name}\n\n{profile}", flush=True)
    keep_phase_0(kept, task, settings, run)
    report, (first, *later) = adaptation.report, adaptation.report["phases"]
    of_teacher = phase_0_of(kept, task, settings) / f"{name}.json"
    if not of_teacher.is_file():
        write_json(of_teacher, judged(adaptation.teacher, task.test))
    teacher, student = json.loads(of_teacher.read_text()), judged(adaptation.student, task.test)
    row = Row(
        task=name,
        part=part,
        backbone=settings["backbone"],
        seed=settings["seed"],
        settings=digest,
        teacher=teacher["srcc"],
        student=student["srcc"],
        teacher_holdout=report["holdout"]["teacher"]["srcc"],
        student_holdout=report["holdout"]["student"]["srcc"],
        teacher_covered=teacher["covered"] if task.same_scale else None,
        student_covered=student["covered"] if task.same_scale else None,
        holdout_covered=report["interval"]["student"]["coverage"],
        uncovered=(report["coverage"] or {}).get("uncovered"),
        undone=sum(phase["step"] < 1 for phase in later),
        teaching=first["seconds"],
        adapting=sum(phase["seconds"] for phase in later),
        code=subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=FOLDER, text=True).strip(),
    )
    row = Row(*(round(value, 4) if isinstance(value, float) else value for value in row))
    is_new = not found.is_file()
    with found.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(Row._fields)
        writer.writerow(row)
    return row


def read(found: Path) -> list[Row]:
    """All rows of a file, if there is one."""
    if not found.is_file():
        return []
    with found.open(newline="") as file:
        lines = list(csv.DictReader(file))
    words, whole = ("task", "part", "backbone", "settings", "code"), ("seed", "undone")

    def value(name: str, text: str) -> Any:
        if name in words:
            return text
        return int(text) if name in whole else float(text) if text else None

    return [Row(**{name: value(name, text) for name, text in line.items()}) for line in lines]


def judged(scorer: ssiqa.Scorer, test: Path) -> dict[str, float]:
    """How a scorer does on rated photos."""
    truth = read_labeled_folder(test)
    scores, ends = scorer.score([truth.root / image for image in truth.images], return_interval=True)
    inside = (ends[:, 0] <= truth.labels) & (truth.labels <= ends[:, 1])
    return {"srcc": float(stats.spearmanr(scores, truth.labels).statistic), "covered": float(inside.mean())}


def _digest(content: object) -> str:
    return hashlib.sha256(to_json(content).encode()).hexdigest()[:12]


def identity_of(settings: dict[str, Any]) -> dict[str, Any]:
    """What `adapt` takes for the identity of a run on the same photos."""
    return run_identity(make_config(**settings), pick_device_of_runs("auto"), PRECISION)


def phase_0_of(kept: Path, task: Task, settings: dict[str, Any]) -> Path:
    """The folder of a phase 0 that runs share."""
    return kept / "phase-0" / _digest([str(task.labeled), of_phase_0(identity_of(settings))])


def give_phase_0(kept: Path, task: Task, settings: dict[str, Any], run: Path) -> None:
    """Start a run from a teacher that another run has trained, if one has."""
    teacher = phase_0_of(kept, task, settings)
    if teacher.is_dir() and not run.exists():
        begin_with(run, identity_of(settings), fingerprints(task.labeled, task.unlabeled, without=()), teacher)


def keep_phase_0(kept: Path, task: Task, settings: dict[str, Any], run: Path) -> None:
    """Keep the teacher of a run for others, whole or not at all."""
    teacher = phase_0_of(kept, task, settings)
    if not teacher.is_dir():
        part = teacher.with_suffix(".part")
        part.mkdir(parents=True, exist_ok=True)
        for file in (run / CHECKPOINTS).glob("phase-0.*"):
            shutil.copy(file, part)
        part.rename(teacher)


def table(rows: list[Row], teacher_alone: bool) -> str:
    """Markdown: mean and deviation over seeds, and each seed's difference to the teacher it began with."""
    lines = [
        "| | SRCC on B | gain by seed | mean gain, 95 % | A's hold-out | change, 95 % | in 90 % interval: A | B |",
        "|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for part in dict.fromkeys(row.part for row in rows):
        lines += [
            f"| {' | '.join(cells)} |" for cells in _cells([row for row in rows if row.part == part], teacher_alone)
        ]
    return "\n".join(lines)


def _cells(rows: list[Row], teacher_alone: bool) -> Iterator[tuple[str, ...]]:
    columns = {name: np.array(values) for name, values in zip(Row._fields, zip(*rows, strict=True), strict=True)}

    def covered(name: str) -> str:
        return "" if rows[0].student_covered is None else f"{columns[name].mean():.1%}"

    part = rows[0].part
    yield (
        f"{part}: teacher",
        over_seeds(columns["teacher"]),
        "",
        "",
        over_seeds(columns["teacher_holdout"]),
        "",
        "",
        covered("teacher_covered"),
    )
    if teacher_alone:
        return
    gains = columns["student"] - columns["teacher"]
    changes = columns["student_holdout"] - columns["teacher_holdout"]
    yield (
        part,
        over_seeds(columns["student"]),
        _each(gains),
        _mean(gains),
        over_seeds(columns["student_holdout"]),
        _mean(changes),
        f"{columns['holdout_covered'].mean():.1%}",
        covered("student_covered"),
    )


def beside(rows: list[Row]) -> Iterator[str]:
    """Lines of Markdown: students of one part less those of another, of the same seeds."""
    students = {(row.part, row.seed): row.student for row in rows}
    for part, other in BESIDE.items():
        seeds = [seed for name, seed in students if name == part and (other, seed) in students]
        if seeds:
            differences = np.array([students[part, seed] - students[other, seed] for seed in seeds])
            yield f"| {part} less {other} | {_each(differences)} | {_mean(differences)} |"


def _each(differences: np.ndarray[Any, Any]) -> str:
    return " ".join(f"{difference:+.3f}" for difference in differences)


def _mean(differences: np.ndarray[Any, Any]) -> str:
    """Mean of paired differences, and Student's interval."""
    mean = differences.mean()
    if len(differences) < 2:
        return f"{mean:+.3f}"
    half = stats.sem(differences) * stats.t.ppf(0.975, len(differences) - 1)
    return f"{mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]"


if __name__ == "__main__":
    main()
