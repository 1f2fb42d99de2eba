"""A table as files: every seed, beside what the paper reports."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssiqa.bootstrap import MINIMUM_GROUPS, Groups
from ssiqa.files import write_json, write_text
from ssiqa.metrics import figure
from ssiqa.protocol.outcome import Outcome
from ssiqa.protocol.published import PUBLISHED, Published
from ssiqa.protocol.tasks import OURS


def write(
    place: Path,
    table: str,
    tasks: Collection[str],
    outcomes: list[Outcome],
    missing: Mapping[str, str],
    footnotes: Sequence[str],
) -> str:
    """Write ``results.json``, ``results.csv`` and ``results.md`` to ``place``; the last is returned.

    Args:
        place: A folder.
        table: Of the paper.
        tasks: Names of those of its tasks that are wanted.
        outcomes: Of all finished runs.
        missing: Why there are none, by task or row.
        footnotes: Lines beneath the table.
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
    lines = [*_runs(outcomes, published, missing), *_beside(outcomes, published)]
    summary = "\n".join([*lines, *(["", *footnotes] if footnotes else [])]) + "\n"
    write_text(place / "results.md", summary)
    return summary


def _runs(outcomes: list[Outcome], published: Sequence[Published], missing: Mapping[str, str]) -> Iterator[str]:
    """Every row that was run, over its seeds."""
    paper = {(row.task, row.variant): f"{row.srcc:.3f}" for row in published if row.srcc is not None}
    yield "SRCC on the test part of B over all seeds: mean ± standard deviation, median, and of ten seeds or more the "
    yield "95 % bootstrap interval of the mean."
    yield ""
    yield "| task | row | seeds | teacher | student | median | interval | gain, paired | PLCC | A's hold-out | paper |"
    yield "|---|---|---:|---:|---:|---:|---|---|---:|---:|---:|"
    for (task, variant), of in _by_row(outcomes).items():
        srcc, plcc, teacher = (_values(of, name) for name in ("srcc", "plcc", "teacher_srcc"))
        before, gain, on_a = "", "", ""
        if len(teacher):
            before, gain = _spread(teacher), f"{figure(np.mean(srcc - teacher), '+.3f')} {_interval(srcc - teacher)}"
            on_a = figure(np.mean(_values(of, "a_srcc")))
        yield (
            f"| {task} | {variant} | {len(of)} | {before} | {_spread(srcc)} | {figure(np.median(srcc))} "
            f"| {_interval(srcc)} | {gain} | {figure(np.mean(plcc))} | {on_a} "
            f"| {paper.get((task, 'SS-IQA' if variant == OURS else variant), '')} |"
        )
    for name, why in missing.items():
        yield f"| {name} | not run: {why} | | | | | | | | | |"
    if undone := sum(outcome.undone or 0 for outcome in outcomes):
        yield ""
        yield f"In {undone} phases of these runs the guard let not all of the change stand."


def _beside(outcomes: list[Outcome], published: Sequence[Published]) -> Iterator[str]:
    """The paper's rows and the means of ours, on A and on B, as the paper prints them."""
    ours = _by_row(outcomes)
    columns = list(dict.fromkeys([*(row.task for row in published), *(task for task, _ in ours)]))
    if not columns:
        return
    for prefix, part in (("a_", "the hold-out of A"), ("", "the test part of B")):
        plcc, srcc = f"{prefix}plcc", f"{prefix}srcc"
        cells = {
            ("paper", row.variant, row.task): f"{getattr(row, plcc):.3f} / {getattr(row, srcc):.3f}"
            for row in published
            if getattr(row, srcc) is not None
        }
        for (task, variant), of in ours.items():
            if len(values := _values(of, srcc)):
                cells["ssiqa", variant, task] = f"{figure(np.mean(_values(of, plcc)))} / {figure(np.mean(values))}"
        yield ""
        yield f"PLCC / SRCC on {part}, as the paper reports it, and the means of this package."
        yield ""
        yield "| by | row | " + " | ".join(columns) + " |"
        yield "|---|---|" + "---|" * len(columns)
        for by, variant in dict.fromkeys((by, variant) for by, variant, _ in cells):
            yield f"| {by} | {variant} | " + " | ".join(cells.get((by, variant, task), "") for task in columns) + " |"


def _values(of: Sequence[Outcome], name: str) -> NDArray[np.float64]:
    """A figure of each seed; empty for peers, which have no teacher and nothing on A."""
    return np.array([value for outcome in of if (value := getattr(outcome, name)) is not None], dtype=np.float64)


def _by_row(outcomes: list[Outcome]) -> dict[tuple[str, str], list[Outcome]]:
    rows: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        rows.setdefault((outcome.task, outcome.variant), []).append(outcome)
    return rows


def _spread(values: Any) -> str:
    deviation = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 and np.isfinite(values).all() else ""
    return figure(np.mean(values)) + deviation


def _interval(values: Any) -> str:
    if len(values) < MINIMUM_GROUPS or not np.isfinite(values).all() or np.ptp(values) == 0:
        return ""
    found = Groups(np.arange(len(values))).interval(lambda rows: float(values[rows].mean()))
    return f"[{found.low:.3f}, {found.high:.3f}]"
