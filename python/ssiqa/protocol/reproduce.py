"""Runs the paper's tables on the databases that are there, every seed reported."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from ssiqa.adaptation import adapt
from ssiqa.data import holdout_split
from ssiqa.errors import DataError, SsiqaError
from ssiqa.files import read_json, write_json, write_text
from ssiqa.metrics import evaluate
from ssiqa.protocol.database import Database
from ssiqa.protocol.published import PUBLISHED
from ssiqa.protocol.tasks import TABLES, Task, find_task

TEST_SHARE = 0.2
RESULT = "result.json"


@dataclass(frozen=True)
class Outcome:
    """One run.

    Attributes:
        table: Of the paper.
        task: Name of the task.
        variant: Row of the table.
        seed: Of split and training.
        teacher_plcc: Of the teacher, before adaptation, on the test part of B.
        teacher_srcc: The same, ranks.
        plcc: Of the student, on the test part of B.
        srcc: The same, ranks.
        a_teacher_srcc: Of the teacher on the hold-out of A.
        a_srcc: Of the student on the hold-out of A.
    """

    table: str
    task: str
    variant: str
    seed: int
    teacher_plcc: float
    teacher_srcc: float
    plcc: float
    srcc: float
    a_teacher_srcc: float
    a_srcc: float


def reproduce(
    table: str,
    data_root: str | PathLike[str],
    output_dir: str | PathLike[str],
    *,
    tasks: Sequence[str] | None = None,
    seeds: int = 10,
    **settings: Any,
) -> str:
    """Run one of the paper's tables, with our splits: 80 % and 20 % of A and of B by seed, references kept together.

    A run that was interrupted goes on; what is finished is not repeated. ``results.json`` and ``results.csv`` hold
    every seed, ``results.md`` the summary that is returned.

    Args:
        table: ``"table1"``, ``"table3"``, ``"table4"`` or ``"table5"``.
        data_root: Holds the unpacked archives in folders ``live``, ``csiq``, ``tid2013``, ``kadid10k``, ``livec``,
            ``koniq10k``, ``livefb`` and ``spaq``.
        output_dir: Where runs and results go.
        tasks: Only these, for example ``["livec-koniq10k"]``.
        seeds: How many, from 0.
        **settings: As for :func:`ssiqa.adapt`, in all runs.

    Returns:
        The table as Markdown. Rows whose databases are missing say which.

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
    missing: dict[str, str] = {}
    for task in wanted:
        try:
            source, target = task.read(Path(data_root))
        except DataError as error:
            missing[task.name] = str(error)
            continue
        for variant, changes in TABLES[table].variants.items():
            for seed in range(seeds):
                folder = place / table / task.name.rstrip("*") / _folder_name(variant) / f"seed-{seed}"
                outcomes.append(_run(folder, table, task, variant, seed, source, target, {**settings, **changes}))
                _write(place / table, outcomes, missing)
    return _write(place / table, outcomes, missing)


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
    train, test = holdout_split(np.unique(target.groups, return_inverse=True)[1], TEST_SHARE, seed)
    for name in ("labeled", "unlabeled", "test"):
        shutil.rmtree(folder / name, ignore_errors=True)
    labeled = source.link_to(folder / "labeled")
    unlabeled = target.take(train).link_to(folder / "unlabeled", labeled=False)
    rated = target.take(test).link_to(folder / "test")
    run = adapt(labeled, unlabeled, folder / "run", seed=seed, **settings)
    before, after = evaluate(run.teacher, rated), evaluate(run.student, rated)
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
        a_teacher_srcc=holdout["teacher"]["srcc"],
        a_srcc=holdout["student"]["srcc"],
    )
    write_json(folder / RESULT, {"of": of, "outcome": asdict(outcome)})
    return outcome


def _folder_name(variant: str) -> str:
    return "".join(letter for letter in variant if letter.isalnum())


def _write(place: Path, outcomes: list[Outcome], missing: dict[str, str]) -> str:
    rows = [asdict(outcome) for outcome in outcomes]
    write_json(place / "results.json", {"outcomes": rows, "missing": missing})
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Outcome.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(place / "results.csv", text.getvalue())
    summary = "\n".join(_summary(outcomes, missing)) + "\n"
    write_text(place / "results.md", summary)
    return summary


def _summary(outcomes: list[Outcome], missing: dict[str, str]) -> Iterator[str]:
    yield "SRCC on the test part of B over all seeds: mean ± standard deviation, median, 95 % bootstrap interval."
    yield ""
    yield "| task | row | seeds | teacher | student | median | interval | gain, paired | PLCC | A's hold-out | paper |"
    yield "|---|---|---:|---:|---:|---:|---|---|---:|---:|---:|"
    rows = dict.fromkeys((outcome.task, outcome.variant) for outcome in outcomes)
    for task, variant in rows:
        of = [outcome for outcome in outcomes if (outcome.task, outcome.variant) == (task, variant)]
        srcc, teacher = (np.array([getattr(o, name) for o in of]) for name in ("srcc", "teacher_srcc"))
        published = PUBLISHED.get(of[0].table, {}).get((task, variant))
        yield (
            f"| {task} | {variant} | {len(of)} | {_spread(teacher)} | {_spread(srcc)} | {np.median(srcc):.3f} "
            f"| {_interval(srcc)} | {np.mean(srcc - teacher):+.3f} {_interval(srcc - teacher)} "
            f"| {np.mean([o.plcc for o in of]):.3f} | {np.mean([o.a_srcc for o in of]):.3f} "
            f"| {'' if published is None else format(published[1], '.3f')} |"
        )
    for task, why in missing.items():
        yield f"| {task} | not run: {why} | | | | | | | | | |"


def _spread(values: Any) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


def _interval(values: Any) -> str:
    if len(values) < 2 or np.ptp(values) == 0:
        return ""
    ends = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=2000, rng=0).confidence_interval
    return f"[{ends.low:.3f}, {ends.high:.3f}]"
