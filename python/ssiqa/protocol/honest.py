"""How this package measures: with the settings that the caller chose, by the exported scorers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ssiqa.config import Config, make_config
from ssiqa.data import read_labeled_folder
from ssiqa.metrics import Evaluation, judge
from ssiqa.protocol.database import Database
from ssiqa.results import Adaptation


def config_of(settings: Mapping[str, Any]) -> Config:
    """The settings of the method among those of a run."""
    known = {"preset", *(field.name for field in fields(Config))}
    return make_config(**{name: value for name, value in settings.items() if name in known})


class Honest:
    """The default protocol, and what another one has to say.

    Attributes:
        footnotes: Lines beneath a table.
    """

    footnotes: tuple[str, ...] = ()

    def labelled(self, database: Database, reader: str) -> Database:
        """The database, of that reader's name, with the labels that all are measured against."""
        return database

    def prepared(self, database: Database, reader: str, kept: Path) -> Database:
        """The database, of that reader's name, as runs see it; what is made of it is kept in a folder."""
        return database

    def settings(self, images: int, reader: str) -> dict[str, Any]:
        """Settings of a run with an A of so many images, of that reader's name, where the caller says nothing else."""
        return {}

    def measured(self, run: Adaptation, test: Path, settings: Mapping[str, Any]) -> list[Evaluation]:
        """Teacher and student on a rated folder; ``settings`` are those that the run was given."""
        tested = read_labeled_folder(test)
        return [judge(scorer, tested).evaluation() for scorer in (run.teacher, run.student)]
