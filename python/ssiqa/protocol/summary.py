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
from scipy import stats

from ssiqa.bootstrap import CONFIDENCE, MINIMUM_GROUPS, Groups
from ssiqa.files import write_json, write_text
from ssiqa.metrics import figure
from ssiqa.protocol.outcome import Outcome
from ssiqa.protocol.provenance import Provenance
from ssiqa.protocol.published import PUBLISHED, Published
from ssiqa.protocol.tasks import OURS


def write(
    place: Path,
    made: Provenance,
    tasks: Collection[str],
    outcomes: list[Outcome],
    missing: Mapping[str, str],
    footnotes: Sequence[str],
) -> str:
    """Write ``results.json``, ``results.csv``, ``summary.csv`` and ``results.md`` to ``place``; the last is returned.

    Args:
        place: A folder.
        made: Which table it is, and what it was made with.
        tasks: Names of those of its tasks that are wanted.
        outcomes: Of all finished runs.
        missing: Why there are none, or not all, by task or row.
        footnotes: Lines beneath the table.
    """
    published = [row for row in PUBLISHED[made.table] if row.task in tasks]
    rows = [asdict(outcome) for outcome in outcomes]
    together = aggregate(outcomes)
    write_json(
        place / "results.json",
        {
            **asdict(made),
            "outcomes": rows,
            "summary": together,
            "published": [asdict(row) for row in published],
            "missing": dict(missing),
        },
    )
    of_paper = [{"by": "paper", "table": made.table, **asdict(row)} for row in published]
    spreads = [name for name in Published.__dataclass_fields__ if name.endswith("_std")]
    columns = ["by", "kind", *Outcome.__dataclass_fields__, *spreads]
    write_text(place / "results.csv", _csv(columns, [*({"by": "ssiqa", **row} for row in rows), *of_paper]))
    write_text(place / "summary.csv", _csv(SUMMARY, together))
    undone = sum(outcome.undone or 0 for outcome in outcomes)
    lines = [str(made), "", *_runs(together, published, missing, undone)]
    lines += [*_by_seed(outcomes), *_beside(together, published)]
    summary = "\n".join([*lines, *(["", *footnotes] if footnotes else [])]) + "\n"
    write_text(place / "results.md", summary)
    return summary


FIGURES = (
    *("plcc", "srcc", "krcc", "teacher_plcc", "teacher_srcc", "teacher_krcc"),
    *("a_plcc", "a_srcc", "a_teacher_plcc", "a_teacher_srcc"),
)
GAIN, CHANGE_ON_A = "gain_srcc", "change_a_srcc"
PAIRED = {GAIN: ("srcc", "teacher_srcc"), CHANGE_ON_A: ("a_srcc", "a_teacher_srcc")}
"""Differences of two figures, seed by seed: of the student and of its teacher, on B and on A."""

SUMMARY = ("task", "variant", "figure", "seeds", "mean", "std", "median", "low", "high", "interval")


def aggregate(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """What the seeds of each row have in common: for each figure that it has a dictionary with the keys ``SUMMARY``.

    ``gain_srcc`` is of student less teacher on the test part of B, seed by seed, and ``change_a_srcc`` the same on the
    hold-out of A. ``low`` and ``high`` are the ends of the 95 % interval of the mean, by ``interval``: ``"bootstrap"``,
    or of fewer than ten seeds ``"t"``, Student's; None of a single seed or of equal ones. Where a figure is undefined
    for a seed, all are NaN.
    """
    rows: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        rows.setdefault((outcome.task, outcome.variant), []).append(outcome)
    found = []
    for (task, variant), of in rows.items():
        figures = {name: np.array([getattr(one, name) for one in of]) for name in FIGURES if _has(of, name)}
        for name, (after, before) in PAIRED.items():
            if before in figures:
                figures[name] = figures[after] - figures[before]
        found += [
            {"task": task, "variant": variant, "figure": name, "seeds": len(of), **_together(values)}
            for name, values in figures.items()
        ]
    return found


def _has(of: Sequence[Outcome], name: str) -> bool:
    """Peers have no teacher, and nothing on A."""
    return all(getattr(one, name) is not None for one in of)


def _together(values: NDArray[np.float64]) -> dict[str, Any]:
    low = high = interval = None
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    if len(values) > 1 and np.ptp(values) > 0:  # neither equal nor undefined
        if len(values) < MINIMUM_GROUPS:
            reach = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * spread / np.sqrt(len(values))
            low, high, interval = float(np.mean(values) - reach), float(np.mean(values) + reach), "t"
        else:
            resampled = Groups(np.arange(len(values))).interval(lambda rows: float(values[rows].mean()))
            low, high, interval = resampled.low, resampled.high, "bootstrap"
    middle = {"mean": float(np.mean(values)), "std": spread, "median": float(np.median(values))}
    return {**middle, "low": low, "high": high, "interval": interval}


def _csv(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _runs(
    together: Sequence[Mapping[str, Any]], published: Sequence[Published], missing: Mapping[str, str], undone: int
) -> Iterator[str]:
    """Every row that was run, over its seeds."""
    paper = {
        (row.task, row.variant): f"{row.srcc:.3f}" + (f" ± {row.srcc_std:.3f}" if row.srcc_std is not None else "")
        for row in published
        if row.srcc is not None
    }
    yield "SRCC on the test part of B over all seeds: mean ± standard deviation, median, and the 95 % interval of the"
    yield f"mean, by bootstrap of {MINIMUM_GROUPS} seeds or more and by Student's t of fewer; PLCC and KRCC likewise."
    yield "Seeds split the same images anew: an interval says what other splits and trainings would give, and not what"
    yield "other images would."
    yield ""
    yield (
        "| task | row | seeds | teacher | student | median | interval | gain, paired | PLCC | KRCC | A's hold-out "
        "| change on A, paired | paper |"
    )
    yield "|---|---|---:|---:|---:|---:|---|---|---:|---:|---:|---|---:|"
    for (task, variant), of in _by_row(together).items():
        before, gain, on_a, change = "", "", "", ""
        if GAIN in of:
            before, on_a = _spread(of["teacher_srcc"]), figure(of["a_srcc"]["mean"])
            gain, change = _paired(of[GAIN], 3), _paired(of[CHANGE_ON_A], 4)  # on A thousandths matter
        yield (
            f"| {task} | {variant} | {of['srcc']['seeds']} | {before} | {_spread(of['srcc'])} "
            f"| {figure(of['srcc']['median'])} | {_interval(of['srcc'])} | {gain} | {_spread(of['plcc'])} "
            f"| {_spread(of['krcc'])} | {on_a} | {change} "
            f"| {paper.get((task, 'SS-IQA' if variant == OURS else variant), '')} |"
        )
    there = {f"{task} {variant}": "left out" for task, variant in _by_row(together)}
    there |= {task: "not finished" for task, _ in _by_row(together)}
    for name, why in missing.items():
        yield f"| {name} | {there.get(name, 'not run')}: {why} |" + " |" * 11
    if undone:
        yield ""
        yield f"The guard damped or undid {undone} phase{'s' * (undone > 1)} of these runs."


OF_A_SEED = ("teacher_srcc", "srcc", "a_teacher_srcc", "a_srcc")


def _by_seed(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The figures that the others are means of, a column for each seed."""
    found: dict[tuple[str, str, str], dict[int, str]] = {}
    for outcome in outcomes:
        for name in OF_A_SEED:
            if (value := getattr(outcome, name)) is not None:
                found.setdefault((outcome.task, outcome.variant, name), {})[outcome.seed] = figure(value)
    if not found:
        return
    seeds = sorted({outcome.seed for outcome in outcomes})
    yield ""
    yield "SRCC of every seed, by the names of results.csv: on the test part of B, and with a_ on the hold-out of A."
    yield ""
    yield "| task | row | figure | " + " | ".join(f"seed {seed}" for seed in seeds) + " |"
    yield "|---|---|---|" + "---:|" * len(seeds)
    for (task, variant, name), of in found.items():
        yield f"| {task} | {variant} | {name} | " + " | ".join(of.get(seed, "") for seed in seeds) + " |"


def _beside(together: Sequence[Mapping[str, Any]], published: Sequence[Published]) -> Iterator[str]:
    """The paper's rows and the means of ours, on A and on B, as the paper prints them."""
    ours = _by_row(together)
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
            if srcc in of:
                cells["ssiqa", variant, task] = f"{figure(of[plcc]['mean'])} / {figure(of[srcc]['mean'])}"
        yield ""
        yield f"PLCC / SRCC on {part}, as the paper reports it, and the means of this package."
        yield ""
        yield "| by | row | " + " | ".join(columns) + " |"
        yield "|---|---|" + "---|" * len(columns)
        for by, variant in dict.fromkeys((by, variant) for by, variant, _ in cells):
            yield f"| {by} | {variant} | " + " | ".join(cells.get((by, variant, task), "") for task in columns) + " |"


def _by_row(together: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, Mapping[str, Any]]]:
    rows: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for one in together:
        rows.setdefault((one["task"], one["variant"]), {})[one["figure"]] = one
    return rows


def _spread(of: Mapping[str, Any]) -> str:
    known = of["std"] is not None and np.isfinite(of["std"])
    return figure(of["mean"]) + (f" ± {of['std']:.3f}" if known else "")


def _paired(of: Mapping[str, Any], digits: int) -> str:
    return f"{figure(of['mean'], f'+.{digits}f')} {_interval(of, digits)}".rstrip()


def _interval(of: Mapping[str, Any], digits: int = 3) -> str:
    return "" if of["low"] is None else f"[{of['low']:.{digits}f}, {of['high']:.{digits}f}]"
