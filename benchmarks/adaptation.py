"""Does adapting help, and what of it: the parts of the method one by one, on real photos, with seeds in pairs.

python -m benchmarks.adaptation DATA --kept FOLDER [--backbone NAME --weights FILE] [--seeds 5] [--only near,far]

DATA holds biq2021 (ss01, ss03_unlabeled, ss03_test, ss03_unlabeled_oracle.csv) and pcuid (unlabeled, oracle.csv).

    near      ss01 -> ss03_unlabeled, tested on ss03_test
    far       ss01 -> pcuid, tested on it
    reverse   ss03_unlabeled with its oracle's labels -> ss01 without labels, tested on ss01
    bound     trained on ss03_unlabeled with its oracle's labels, tested on ss03_test

Near has every part of the paper's method, with this backbone's schedule; far and reverse what `adapt` does by default.
FOLDER keeps each finished row, decoded photos and phase 0, which rows with the same teacher share: the command goes on
where it was stopped. Labels of B are looked at in the last step alone.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

import ssiqa
from benchmarks.paper import PAPER
from ssiqa.config import make_config
from ssiqa.data import read_labeled_folder, read_unlabeled_folder
from ssiqa.device import pick_device, pick_precision
from ssiqa.files import write_json
from ssiqa.material import fingerprints
from ssiqa.run import open_run

PARTS: dict[str, dict[str, Any]] = {
    "baseline": PAPER | {"krr": False, "blocks": 1, "replay_every": 0},
    "+IL": PAPER | {"krr": False},
    "+KRR": PAPER | {"blocks": 1, "replay_every": 0},
    "full paper": PAPER,
    "trained student": {"student": PAPER["student"], "blocks": PAPER["blocks"]},
    "default": {},
}
# What phase 0 of those does not depend on.
LATER = ("blocks", "krr", "replay_every", "teacher_share", "tolerance")


class Task(NamedTuple):
    """Two folders, and rated photos of the second's kind."""

    labeled: Path
    unlabeled: Path
    test: Path
    parts: dict[str, dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Does adapting help, and what of it.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--kept", type=Path, required=True, help="folder for runs and results")
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="near,far,reverse,bound")
    parser.add_argument("--parts", help=f"only these rows of near: {','.join(PARTS)}")
    arguments = parser.parse_args()
    backbone = {"backbone": arguments.backbone, "weights": arguments.weights}
    tasks = find_tasks(arguments.data, arguments.kept)
    for name in arguments.only.split(","):
        parts = {
            part: settings
            for part, settings in tasks[name].parts.items()
            if arguments.parts is None or part in arguments.parts.split(",")
        }
        rows = {
            (part, seed): result_of(arguments.kept, name, tasks[name], part, settings | backbone | {"seed": seed})
            for seed in range(arguments.seeds)  # seed by seed: pairs are complete early
            for part, settings in parts.items()
        }
        print(f"\n{name}, {arguments.backbone}, {arguments.seeds} seeds\n\n{table(rows, name == 'bound')}", flush=True)


def find_tasks(data: Path, kept: Path) -> dict[str, Task]:
    biq, pcuid = data / "biq2021", data / "pcuid"
    rated = rated_folder(biq / "ss03_unlabeled", biq / "ss03_unlabeled_oracle.csv", kept / "folders/ss03")
    far = rated_folder(pcuid / "unlabeled", pcuid / "oracle.csv", kept / "folders/pcuid")
    default = {"default": PARTS["default"]}
    return {
        "near": Task(biq / "ss01", biq / "ss03_unlabeled", biq / "ss03_test", PARTS),
        "far": Task(biq / "ss01", pcuid / "unlabeled", far, default),
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
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "mos"])
        writer.writerows([name, labels[Path(name).name]] for name in names)
    for name in names:
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to((images / name).resolve())
    return folder


def result_of(kept: Path, name: str, task: Task, part: str, settings: dict[str, Any]) -> dict[str, Any]:
    """What teacher and student of one run say of the test photos: from the folder, or made and kept there."""
    run = run_of(kept, name, part, settings)
    path = kept / "results" / f"{run.name}.json"
    if not path.is_file():
        give_phase_0(kept, task, settings, run)
        profile = ssiqa.Profile()
        adaptation = ssiqa.adapt(
            task.labeled, task.unlabeled, run, cache_dir=kept / "cache", profile=profile, **settings
        )
        keep_phase_0(kept, task, settings, run)
        truth = read_labeled_folder(task.test)
        found: dict[str, Any] = {"report": adaptation.report, "seconds": profile.to_dict()}
        for scorer in ("teacher", "student"):
            photos = [truth.root / image for image in truth.images]
            scores, ends = getattr(adaptation, scorer).score(photos, return_interval=True)
            inside = (ends[:, 0] <= truth.labels) & (truth.labels <= ends[:, 1])
            found[scorer] = {
                "srcc": float(spearmanr(scores, truth.labels).statistic),
                "holdout": adaptation.report["holdout"][scorer]["srcc"],
                "holdout_covered": adaptation.report["interval"][scorer]["coverage"],
                "covered": float(inside.mean()),
                "scores": scores.tolist(),
            }
        write_json(path, found)
    kept_result: dict[str, Any] = json.loads(path.read_text())
    return kept_result


def run_of(kept: Path, name: str, part: str, settings: dict[str, Any]) -> Path:
    """The folder of a run."""
    return kept / "runs" / f"{name} {part} {settings['backbone']} {settings['seed']}".replace(" ", "-")


def _phase_0(kept: Path, task: Task, settings: dict[str, Any]) -> Path:
    config = {name: value for name, value in asdict(make_config(**settings)).items() if name not in LATER}
    text = json.dumps([str(task.labeled), config], default=str, sort_keys=True)
    return kept / "phase-0" / hashlib.sha256(text.encode()).hexdigest()[:16]


def give_phase_0(kept: Path, task: Task, settings: dict[str, Any], run: Path) -> None:
    """Start a run from a teacher that another run has trained, if one has."""
    teacher = _phase_0(kept, task, settings)
    if not teacher.is_dir() or run.exists():
        return
    config, device = make_config(**settings), pick_device("auto")
    identity = config.identity() | {"device": device.type, "precision": pick_precision("auto", device)}
    with open_run(run, identity) as opened:
        opened.claim(fingerprints(task.labeled, task.unlabeled, without=()))
        shutil.copytree(teacher, run / "checkpoints")


def keep_phase_0(kept: Path, task: Task, settings: dict[str, Any], run: Path) -> None:
    teacher = _phase_0(kept, task, settings)
    if not teacher.is_dir():
        teacher.mkdir(parents=True)
        for file in (run / "checkpoints").glob("phase-0.*"):
            shutil.copy(file, teacher)


def table(rows: dict[tuple[str, int], dict[str, Any]], teacher_alone: bool) -> str:
    """Markdown: mean and deviation over seeds, and each seed's difference to the teacher it began with."""
    parts = list(dict.fromkeys(part for part, _ in rows))
    lines = [
        "| | SRCC on B | gain by seed | A's hold-out | change by seed | 90 % intervals: A | B |",
        "|---|---:|---|---:|---|---:|---:|",
    ]
    for part in parts:
        found = [row for (of, _), row in rows.items() if of == part]

        def values(scorer: str, what: str, found: list[dict[str, Any]] = found) -> NDArray[np.float64]:
            return np.array([row[scorer][what] for row in found])

        lines.append(_line(f"{part}: teacher", lambda what, values=values: values("teacher", what)))
        if not teacher_alone:
            before = values("teacher", "srcc"), values("teacher", "holdout")
            lines.append(_line(part, lambda what, values=values: values("student", what), before))
    return "\n".join(lines)


def _line(
    title: str,
    values: Callable[[str], NDArray[np.float64]],
    before: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> str:
    def cells() -> Iterator[str]:
        for number, what in enumerate(("srcc", "holdout")):
            found = values(what)
            yield f"{found.mean():.3f} ± {found.std():.3f}"
            yield "" if before is None else " ".join(f"{change:+.3f}" for change in found - before[number])
        for what in ("holdout_covered", "covered"):
            yield f"{values(what).mean():.1%}"

    return f"| {title} | " + " | ".join(cells()) + " |"


if __name__ == "__main__":
    main()
