"""What one run of a table gave, or a peer on the images of its test."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """One row for one seed.

    Attributes:
        table: Of the paper.
        task: Name of the task.
        variant: Row of the table.
        seed: Of split and training.
        plcc: Of the student or the peer, on the test part of B.
        srcc: The same, ranks.
        teacher_plcc: Of the teacher, before adaptation, on the test part of B. Peers have none, and no figures on A.
        teacher_srcc: The same, ranks.
        a_teacher_plcc: Of the teacher on the hold-out of A.
        a_teacher_srcc: The same, ranks.
        a_plcc: Of the student on the hold-out of A.
        a_srcc: The same, ranks.
        undone: Phases of which the guard let not all stand.
    """

    table: str
    task: str
    variant: str
    seed: int
    plcc: float
    srcc: float
    teacher_plcc: float | None = None
    teacher_srcc: float | None = None
    a_teacher_plcc: float | None = None
    a_teacher_srcc: float | None = None
    a_plcc: float | None = None
    a_srcc: float | None = None
    undone: int | None = None
