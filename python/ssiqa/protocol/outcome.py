"""What one run of a table gave, or a peer on the images of its test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Outcome:
    """One row for one seed. Correlations are NaN where they are undefined.

    There is no RMSE, because A and B have scales of their own.

    Attributes:
        table: Of the paper.
        task: Name of the task.
        variant: Row of the table.
        seed: Of split and training.
        plcc: Of the student or the peer, on the test part of B.
        srcc: The same, ranks.
        krcc: The same, pairs.
        teacher_plcc: Of the teacher, before adaptation, on the test part of B. Peers have none, and no figures on A.
        teacher_srcc: The same, ranks.
        teacher_krcc: The same, pairs.
        a_teacher_plcc: Of the teacher on the hold-out of A.
        a_teacher_srcc: The same, ranks.
        a_plcc: Of the student on the hold-out of A.
        a_srcc: The same, ranks.
        undone: How many phases the guard damped or undid.
    """

    table: str
    task: str
    variant: str
    seed: int
    plcc: float
    srcc: float
    krcc: float
    teacher_plcc: float | None = None
    teacher_srcc: float | None = None
    teacher_krcc: float | None = None
    a_teacher_plcc: float | None = None
    a_teacher_srcc: float | None = None
    a_plcc: float | None = None
    a_srcc: float | None = None
    undone: int | None = None

    @classmethod
    def of_kept(cls, kept: Mapping[str, Any]) -> Outcome:
        """As JSON has kept the figures that there are: null is NaN."""
        figures: dict[str, Any] = {name: np.nan if value is None else value for name, value in kept.items()}
        return cls(**figures)
