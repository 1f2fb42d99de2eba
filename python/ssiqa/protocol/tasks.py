"""The paper's tasks, and what each of its tables varies."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ssiqa.config import make_config
from ssiqa.data import holdout_split
from ssiqa.errors import SsiqaError
from ssiqa.protocol.archives import read_database
from ssiqa.protocol.database import Database

TEST_SHARE = 0.2
LABELED_SHARE = 0.25
"""Of the training part, where A and B are of one database."""

COMMON_DISTORTIONS = {
    "csiq": ("noise", "blur", "jpeg", "jpeg 2000"),
    "tid2013": ("01", "08", "10", "11"),
    "kadid10k": ("01", "09", "10", "11"),
}
"""White noise, Gaussian blur, JPEG and JPEG 2000 by each database's name for them: the starred sets of table 1."""


class Parts(NamedTuple):
    """What a run gets: A, the training part of B, whose labels stay behind, and the test part of B."""

    labeled: Database
    unlabeled: Database
    test: Database


@dataclass(frozen=True)
class Task:
    """From one database to another, or from the labelled part of one to the rest of it.

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
        source, target = (read_database(name, data_root) for name in (self.source, self.target))
        return source, target.only(COMMON_DISTORTIONS[self.target]) if self.starred else target

    def split(self, source: Database, target: Database, seed: int) -> Parts:
        """A whole, because :func:`ssiqa.adapt` holds out its own part, and B by seed, contents kept together.

        Where both are one database, a quarter of its training part is A and the rest B.
        """
        train, test = _split(target, TEST_SHARE, seed)
        if self.source == self.target:
            source, train = _split(train, 1 - LABELED_SHARE, seed)
        return Parts(source, train, test)


def _split(database: Database, share: float, seed: int) -> tuple[Database, Database]:
    rest, held_out = holdout_split(np.unique(database.groups, return_inverse=True)[1], share, seed)
    return database.take(rest), database.take(held_out)


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

FULL = tuple(Task(task.source, task.target) for task in TASKS if task.starred)
"""The starred ones of it, with all distortions of B, which the paper has not: they run when they are named."""

_TRAINED = {
    name: getattr(make_config("paper"), name)
    for name in ("blocks", "student", "depths", "teacher_share", "tolerance", "grid", "weak_crops")
}
"""Tables 3 to 6 are about the paper's method: a network trained block by block, that scores alone, without a guard.
With the default preset they have that preset's backbone and schedule of the teacher."""

OURS = "ssiqa"
"""The row of what this package does by default, where the paper has SS-IQA."""

_NO_IL = {"blocks": 1, "replay_every": 0}
ABLATION: dict[str, dict[str, Any]] = {
    "baseline": {**_NO_IL, "krr": False},
    "+ IL": {"krr": False},
    "+ KRR": _NO_IL,
    "SS-IQA": {},
}
BLOCKS = {f"Q={blocks}": {"blocks": blocks} for blocks in (1, 2, 3, 4, 6)}
_BASELINE = (
    "Of baseline the paper says that it has neither part: here it is trained on the teacher's own labels of all of B, "
    "at once. Column teacher is without any adaptation.",
)
K1_K2 = {
    f"K1={of_a} K2={of_b}": {"replay_every": (of_a, of_b)}
    for of_a, of_b in (
        *((20, every) for every in (0, 10, 20, 50, 100)),
        *((every, 20) for every in (0, 10, 50, 100)),
        (100, 100),
    )
}


@dataclass(frozen=True)
class Table:
    """One of the paper's tables.

    Attributes:
        tasks: What it runs.
        variants: Settings by the name of their row, beside those of the preset.
        settings: What the rows have in common beside the preset, unless the caller says otherwise.
        peers: Whether scorers that are not trained are compared with.
        others: Further tasks, which it runs when they are named.
        notes: Lines beneath it.
    """

    tasks: tuple[Task, ...]
    variants: Mapping[str, Mapping[str, Any]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    peers: bool = False
    others: tuple[Task, ...] = ()
    notes: tuple[str, ...] = ()


TABLES = {
    "table1": Table(TASKS, {OURS: {}}, peers=True, others=FULL),
    # What the paper compares with SSL are the figures on A of two tasks of table 1.
    "table2": Table(
        (Task("livec", "livec"), Task("koniq10k", "koniq10k"), TASKS[5], TASKS[3]),
        {OURS: {}},
        notes=(
            "Where A and B are of one database, as in SSLIQA's setting, the paper does not say how large the part with "
            f"labels is: here it is {LABELED_SHARE:.0%} of the training part, so that those rows are not the paper's.",
        ),
    ),
    "table3": Table(TASKS[:1], ABLATION, _TRAINED, notes=_BASELINE),
    "table4": Table(TASKS[3:4], ABLATION, _TRAINED, notes=_BASELINE),
    "table5": Table((TASKS[1], TASKS[3]), BLOCKS, _TRAINED),
    "table6": Table(
        TASKS[:1],
        K1_K2,
        _TRAINED,
        notes=("K = 0, which the paper does not explain, keeps no exemplars here.",),
    ),
}


def find_task(name: str) -> Task:
    """A task of any table by its name.

    Raises:
        SsiqaError: There is none of that name.
    """
    tasks = {task.name: task for table in TABLES.values() for task in (*table.tasks, *table.others)}
    if name not in tasks:
        raise SsiqaError(f"No task {name!r}; there are: {', '.join(tasks)}.")
    return tasks[name]


def tables_of(tasks: Collection[str] | None) -> list[str]:
    """The tables with one of these tasks, or all."""
    return [
        name
        for name, table in TABLES.items()
        if tasks is None or any(task.name in tasks for task in (*table.tasks, *table.others))
    ]
