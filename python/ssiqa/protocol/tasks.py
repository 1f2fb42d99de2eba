"""The paper's eight tasks, and what each of its tables varies."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssiqa.errors import SsiqaError
from ssiqa.protocol.database import Database
from ssiqa.protocol.readers import READERS

COMMON_DISTORTIONS = {
    "csiq": ("noise", "blur", "jpeg", "jpeg 2000"),
    "tid2013": ("01", "08", "10", "11"),
    "kadid10k": ("01", "09", "10", "11"),
}
"""White noise, Gaussian blur, JPEG and JPEG 2000 by each database's name for them: the starred sets of table 1."""


@dataclass(frozen=True)
class Task:
    """From one database to another.

    Attributes:
        source: A, by its reader's name.
        target: B, by its reader's name.
        starred: Whether only the common distortions of B are adapted to and tested on.
    """

    source: str
    target: str
    starred: bool = False

    @property
    def name(self) -> str:
        return f"{self.source}-{self.target}" + "*" * self.starred

    def read(self, data_root: Path) -> tuple[Database, Database]:
        """A and B from ``data_root/<name of the reader>``.

        Raises:
            DataError: An archive is not there, or not complete.
        """
        source, target = (READERS[name](data_root / name) for name in (self.source, self.target))
        return source, target.only(COMMON_DISTORTIONS[self.target]) if self.starred else target


TASKS = (
    Task("live", "csiq", starred=True),
    Task("csiq", "live"),
    Task("tid2013", "kadid10k", starred=True),
    Task("kadid10k", "tid2013", starred=True),
    Task("livec", "koniq10k"),
    Task("koniq10k", "livec"),
    Task("livefb", "spaq"),
    Task("spaq", "livefb"),
)
"""Those of table 1, in its order."""

_NO_IL = {"blocks": 1, "replay_every": 0}
_ABLATION: dict[str, dict[str, Any]] = {
    "baseline": {**_NO_IL, "krr": False},
    "+ IL": {"krr": False},
    "+ KRR": _NO_IL,
    "SS-IQA": {},
}


@dataclass(frozen=True)
class Table:
    """One of the paper's tables.

    Attributes:
        tasks: What it runs.
        variants: Settings by the name of their row, beside those of the preset.
    """

    tasks: tuple[Task, ...]
    variants: Mapping[str, Mapping[str, Any]]


TABLES = {
    "table1": Table(TASKS, {"SS-IQA": {}}),
    "table3": Table(TASKS[:1], _ABLATION),
    "table4": Table(TASKS[3:4], _ABLATION),
    "table5": Table((TASKS[1], TASKS[3]), {f"Q={blocks}": {"blocks": blocks} for blocks in (1, 2, 3, 4, 6)}),
}


def find_task(name: str) -> Task:
    """A task by its name, with or without the star.

    Raises:
        SsiqaError: There is none of that name.
    """
    for task in TASKS:
        if name in (task.name, task.name.removesuffix("*")):
            return task
    raise SsiqaError(f"No task {name!r}; there are: {', '.join(task.name for task in TASKS)}.")


def tables_of(tasks: Collection[str] | None) -> list[str]:
    """The tables with one of these tasks, or all."""
    return [name for name, table in TABLES.items() if tasks is None or any(task.name in tasks for task in table.tasks)]
