"""What is finished of a table, as its folder keeps it: a table can be made in pieces, by several calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ssiqa.files import read_json, write_json
from ssiqa.protocol.outcome import Outcome
from ssiqa.run import differences

RESULT = "result.json"


def row_folder(results: Path, task: str, variant: str) -> Path:
    """Of a row in the folder of its table; it holds one for each seed."""
    return results / task.replace("*", "-common") / "".join(letter for letter in variant if letter.isalnum())


def keep(folder: Path, of: Mapping[str, Any], outcome: Outcome) -> None:
    """Say in the folder of a seed what was finished: the outcome, and of which settings and images it is."""
    figures = {name: value for name, value in asdict(outcome).items() if value is not None}
    write_json(folder / RESULT, {"of": of, "outcome": figures})


def collect(results: Path, rows: Mapping[tuple[str, str], Mapping[str, Any]]) -> tuple[list[Outcome], dict[str, str]]:
    """Every seed of these rows that is finished, whichever call it was.

    Args:
        results: Folder of a table.
        rows: By task and variant what their runs must be of, as far as it is known without the images.

    Returns:
        The outcomes, in the order of the rows; and by row which seeds are left out, because they are of something else.
    """
    outcomes: list[Outcome] = []
    others: dict[str, str] = {}
    for (task, variant), expected in rows.items():
        left_out: list[str] = []
        changed: dict[str, None] = {}
        for path in sorted(row_folder(results, task, variant).glob(f"seed-*/{RESULT}"), key=_seed):
            kept = read_json(path)
            if said := list(differing(kept["of"], expected)):
                left_out.append(str(_seed(path)))
                changed |= dict.fromkeys(said)
            else:
                outcomes.append(Outcome.of_kept(kept["outcome"]))
        if left_out:
            others[f"{task} {variant}"] = (
                f"what is finished of seed {', '.join(left_out)} is not of these settings and version "
                f"({', '.join(changed)})"
            )
    return outcomes, others


def differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """What is wanted of a run otherwise than its folder keeps it, as people name it."""
    for name, value in wanted.items():
        there = found.get(name)
        if there == value:
            continue
        if name == "images":
            yield "name, size, time or label of an image differs"
        elif name == "given":
            yield f"{', '.join(there) if there else 'nothing'} given there in the protocol's place"
        elif name in ("version", "peer"):
            yield f"{name} {there} there"
        else:
            yield from differences({name: there}, {name: value})


def _seed(path: Path) -> int:
    return int(path.parent.name.removeprefix("seed-"))
