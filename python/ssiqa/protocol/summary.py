"""A table as files: every seed, beside what the paper reports."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ssiqa.bootstrap import Groups
from ssiqa.files import write_json, write_text
from ssiqa.protocol.outcome import Outcome
from ssiqa.protocol.published import PUBLISHED, Published


def write(place: Path, table: str, tasks: Collection[str], outcomes: list[Outcome], missing: Mapping[str, str]) -> str:
    """Write ``results.json``, ``results.csv`` and ``results.md`` to ``place``; the last is returned.

    Args:
        place: A folder.
        table: Of the paper.
        tasks: Names of those of its tasks that are wanted.
        outcomes: Of all finished runs.
        missing: Why there are none, by task.
    """
    published = [row for row in PUBLISHED[table] if row.task in tasks]
    rows = [asdict(outcome) for outcome in outcomes]
    write_json(
        place / "results.json",
        {"outcomes": rows, "published": [asdict(row) for row in published], "missing": dict(missing)},
    )
    text = io.StringIO()
    writer = csv.DictWriter(text, ["by", *Outcome.__dataclass_fields__], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({"by": "ssiqa", **row} for row in rows)
    writer.writerows({"by": "paper", "table": table, **asdict(row)} for row in published)
    write_text(place / "results.csv", text.getvalue())
    summary = "\n".join([*_runs(outcomes, published, missing), *_beside(outcomes, published)]) + "\n"
    write_text(place / "results.md", summary)
    return summary


def _runs(outcomes: list[Outcome], published: Sequence[Published], missing: Mapping[str, str]) -> Iterator[str]:
    """Every row that we run, over its seeds."""
    paper = {(row.task, row.variant): row.srcc for row in published}
    yield "SRCC on the test part of B over all seeds: mean ± standard deviation, median, 95 % bootstrap interval."
    yield ""
    yield "| task | row | seeds | teacher | student | median | interval | gain, paired | PLCC | A's hold-out | paper |"
    yield "|---|---|---:|---:|---:|---:|---|---|---:|---:|---:|"
    for (task, variant), of in _by_row(outcomes).items():
        srcc, teacher = (np.array([getattr(o, name) for o in of]) for name in ("srcc", "teacher_srcc"))
        reported = paper.get((task, variant))
        yield (
            f"| {task} | {variant} | {len(of)} | {_spread(teacher)} | {_spread(srcc)} | {np.median(srcc):.3f} "
            f"| {_interval(srcc)} | {np.mean(srcc - teacher):+.3f} {_interval(srcc - teacher)} "
            f"| {np.mean([o.plcc for o in of]):.3f} | {np.mean([o.a_srcc for o in of]):.3f} "
            f"| {'' if reported is None else format(reported, '.3f')} |"
        )
    for task, why in missing.items():
        yield f"| {task} | not run: {why} | | | | | | | | | |"


def _beside(outcomes: list[Outcome], published: Sequence[Published]) -> Iterator[str]:
    """The paper's rows and the means of ours, on A and on B, as the paper prints them."""
    columns = list(dict.fromkeys(row.task for row in published))
    for prefix, part in (("a_", "the hold-out of A"), ("", "the test part of B")):
        theirs = {(row.variant, row.task): _pair(asdict(row), prefix) for row in published}
        ours = {
            (variant, task): _pair({name: np.mean([getattr(o, name) for o in of]) for name in _FIGURES}, prefix)
            for (task, variant), of in _by_row(outcomes).items()
        }
        yield ""
        yield f"PLCC / SRCC on {part}, as the paper reports it, and the means of this package."
        yield ""
        yield "| by | row | " + " | ".join(columns) + " |"
        yield "|---|---|" + "---|" * len(columns)
        for by, cells in (("paper", theirs), ("ssiqa", ours)):
            for variant in dict.fromkeys(variant for (variant, _), cell in cells.items() if cell):
                yield f"| {by} | {variant} | " + " | ".join(cells.get((variant, task), "") for task in columns) + " |"


_FIGURES = ("plcc", "srcc", "a_plcc", "a_srcc")


def _pair(figures: Mapping[str, Any], prefix: str) -> str:
    plcc, srcc = figures[f"{prefix}plcc"], figures[f"{prefix}srcc"]
    return "" if srcc is None else f"{plcc:.3f} / {srcc:.3f}"


def _by_row(outcomes: list[Outcome]) -> dict[tuple[str, str], list[Outcome]]:
    rows: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        rows.setdefault((outcome.task, outcome.variant), []).append(outcome)
    return rows


def _spread(values: Any) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


def _interval(values: Any) -> str:
    if len(values) < 2 or np.ptp(values) == 0:
        return ""
    found = Groups(np.arange(len(values))).interval(lambda rows: float(values[rows].mean()))
    return f"[{found.low:.3f}, {found.high:.3f}]"
