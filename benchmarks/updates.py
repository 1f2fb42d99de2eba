"""What an update forgets: from ss01 to the photos of pcuid, and then on to those of ss03.

python -m benchmarks.updates DATA --kept FOLDER [--seeds 2]

SRCC on both, and on A's hold-out, of the teacher, of the student after the first folder and of that after the second;
and as the reports say it, the RMSE of scores of the first folder's photos to what was learnt of them. DATA and FOLDER
are those of `benchmarks.adaptation`, whose phase 0 is taken where there is one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import ssiqa
from benchmarks.adaptation import PRECISION, Task, find_tasks, give_phase_0, identity_of, judged


def main() -> None:
    parser = argparse.ArgumentParser(description="What an update forgets.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--kept", type=Path, required=True, help="folder of benchmarks.adaptation")
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    tasks = find_tasks(arguments.data, arguments.kept)
    found: dict[str, list[list[float | None]]] = {}
    for seed in range(arguments.seeds):
        for name, row in of_seed(arguments.kept, tasks, seed).items():
            found.setdefault(name, []).append(row)
    print("| | pcuid | ss03_test | A's hold-out | RMSE on pcuid |\n|---|---:|---:|---:|---:|")
    for name, rows in found.items():
        cells = [f"{np.mean(column):.3f}" if None not in column else "" for column in zip(*rows, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |")


def of_seed(kept: Path, tasks: dict[str, Task], seed: int) -> dict[str, list[float | None]]:
    first, then = tasks["far"], tasks["near"]
    runs = kept / "runs"
    place = runs / f"updates {seed} {identity_of({'seed': seed})['schema']}".replace(" ", "-")
    options = {"precision": PRECISION, "cache_dir": kept / "cache"}
    give_phase_0(kept, first, {"seed": seed}, place)
    before = ssiqa.adapt(first.labeled, first.unlabeled, place, seed=seed, **options)
    after = ssiqa.update(place, then.unlabeled, place.with_name(f"{place.name}-on"), **options)
    rows = {}
    for name, scorer, holdout, memory in (
        ("teacher", before.teacher, before.report["holdout"]["teacher"], None),
        ("after pcuid", before.student, before.report["holdout"]["student"], after.report["memory"]["teacher"]),
        ("after ss03, too", after.student, after.report["holdout"]["student"], after.report["memory"]["student"]),
    ):
        srcc = [judged(scorer, task.test)["srcc"] for task in (first, then)]
        rows[name] = [*srcc, holdout["srcc"], None if memory is None else memory["rmse"]]
    return rows


if __name__ == "__main__":
    main()
