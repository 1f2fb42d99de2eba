"""Runs the paper's tables on the databases that are there, every seed reported."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

from ssiqa.adaptation import adapt
from ssiqa.data import read_labeled_folder
from ssiqa.errors import DataError, SsiqaError
from ssiqa.files import read_json, write_json
from ssiqa.metrics import agreement, judge
from ssiqa.protocol import summary
from ssiqa.protocol.database import Database
from ssiqa.protocol.outcome import Outcome
from ssiqa.protocol.peers import open_peers, score_database
from ssiqa.protocol.tasks import TABLES, Task, find_task

RESULT = "result.json"


def reproduce(
    table: str,
    data_root: str | PathLike[str],
    output_dir: str | PathLike[str],
    *,
    tasks: Sequence[str] | None = None,
    seeds: int = 10,
    peers_dir: str | PathLike[str] | None = None,
    **settings: Any,
) -> str:
    """Run one of the paper's tables, with our splits: 80 % and 20 % of A and of B by seed, references kept together.

    A run that was interrupted goes on; what is finished is not repeated. ``results.json`` and ``results.csv`` hold
    every seed beside what the paper reports, ``results.md`` the summary that is returned.

    Args:
        table: ``"table1"`` to ``"table6"``.
        data_root: Holds the unpacked archives in folders ``live``, ``csiq``, ``tid2013``, ``kadid10k``, ``livec``,
            ``koniq10k``, ``livefb`` and ``spaq``.
        output_dir: Where runs and results go.
        tasks: Only these, for example ``["livec-koniq10k"]``.
        seeds: How many, from 0.
        peers_dir: Holds ``niqe_pris_params.npz``, for the unsupervised peers of table 1; by default ``peers`` in
            ``data_root``.
        **settings: As for :func:`ssiqa.adapt`, in all runs.

    Returns:
        The table as Markdown. Rows whose databases, parameters or packages are missing say which.

    Raises:
        SsiqaError: No such table or task, or a run fails.
    """
    if table not in TABLES:
        raise SsiqaError(f"No table {table!r}; there are: {', '.join(TABLES)}.")
    wanted = TABLES[table].tasks
    if tasks is not None:
        chosen = [find_task(name) for name in tasks]
        wanted = tuple(task for task in wanted if task in chosen)
        if not wanted:
            raise SsiqaError(
                f"{table} has none of these tasks; it has: {', '.join(t.name for t in TABLES[table].tasks)}."
            )
    place = Path(output_dir)
    outcomes: list[Outcome] = []
    peers, missing = open_peers(Path(peers_dir or Path(data_root) / "peers")) if TABLES[table].peers else ({}, {})

    def write() -> str:
        return summary.write(place / table, table, [task.name for task in wanted], outcomes, missing)

    for task in wanted:
        try:
            source, target = task.read(Path(data_root))
        except DataError as error:
            missing[task.name] = str(error)
            continue
        for variant, changes in TABLES[table].variants.items():
            for seed in range(seeds):
                folder = place / table / task.name.rstrip("*") / _folder_name(variant) / f"seed-{seed}"
                run = {**TABLES[table].settings, **settings, **changes}
                outcomes.append(_run(folder, table, task, variant, seed, source, target, run))
                write()
        for name, score in peers.items():
            for seed in range(seeds):
                test = task.split(source, target, seed).test
                try:
                    found = agreement(score_database(name, score, test, place / "peers"), test.quality)
                except DataError as error:
                    missing[f"{task.name} {name}"] = str(error)
                    break
                outcomes.append(Outcome(table, task.name, name, seed, found.plcc, found.srcc))
                write()
    return write()


def _run(
    folder: Path,
    table: str,
    task: Task,
    variant: str,
    seed: int,
    source: Database,
    target: Database,
    settings: dict[str, Any],
) -> Outcome:
    of = {
        "settings": {name: str(value) for name, value in sorted(settings.items()) if value is not None},
        "images": [len(source.images), len(target.images)],
    }
    if (folder / RESULT).is_file():
        kept = read_json(folder / RESULT)
        if kept["of"] != of:
            raise SsiqaError(
                f"{folder} holds a run of other settings or images ({kept['of']}, not {of}); "
                "choose another output folder."
            )
        return Outcome(**kept["outcome"])
    parts = task.split(source, target, seed)
    for name in ("labeled", "unlabeled", "test"):
        shutil.rmtree(folder / name, ignore_errors=True)
    labeled = parts.labeled.link_to(folder / "labeled")
    unlabeled = parts.unlabeled.link_to(folder / "unlabeled", labeled=False)
    rated = parts.test.link_to(folder / "test")
    run = adapt(labeled, unlabeled, folder / "run", seed=seed, **settings)
    tested = read_labeled_folder(rated)
    before, after = (judge(scorer, tested).evaluation() for scorer in (run.teacher, run.student))
    holdout = run.report["holdout"]
    outcome = Outcome(
        table=table,
        task=task.name,
        variant=variant,
        seed=seed,
        teacher_plcc=before.plcc,
        teacher_srcc=before.srcc,
        plcc=after.plcc,
        srcc=after.srcc,
        a_teacher_plcc=holdout["teacher"]["plcc"],
        a_teacher_srcc=holdout["teacher"]["srcc"],
        a_plcc=holdout["student"]["plcc"],
        a_srcc=holdout["student"]["srcc"],
    )
    write_json(folder / RESULT, {"of": of, "outcome": asdict(outcome)})
    return outcome


def _folder_name(variant: str) -> str:
    return "".join(letter for letter in variant if letter.isalnum())
