"""What one run of a table gave."""

from __future__ import annotations

from dataclasses import dataclass


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
        a_teacher_plcc: Of the teacher on the hold-out of A.
        a_teacher_srcc: The same, ranks.
        a_plcc: Of the student on the hold-out of A.
        a_srcc: The same, ranks.
    """

    table: str
    task: str
    variant: str
    seed: int
    teacher_plcc: float
    teacher_srcc: float
    plcc: float
    srcc: float
    a_teacher_plcc: float
    a_teacher_srcc: float
    a_plcc: float
    a_srcc: float
