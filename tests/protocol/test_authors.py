"""The settings of the authors' code: of runs, images, labels and the test."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pipeline.conftest import settings, texture, weights, write_photo

import ssiqa
from ssiqa.config import make_config
from ssiqa.data import read_image
from ssiqa.protocol.authors import DIFFERENCES, Authors
from ssiqa.protocol.database import Database
from ssiqa.protocol.reproduce import reproduce
from ssiqa.protocol.tasks import find_task
from ssiqa.run import Run

from .test_reproduce import data_root

__all__ = ["data_root", "settings", "weights"]  # fixtures


def test_the_authors_settings(
    data_root: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the caller does not say is as in their code: width, penalty, size of images, random crops at the test."""
    options = {name: value for name, value in settings.items() if name != "replay_every"} | {"blocks": 1}
    options |= {"tasks": ["livec-koniq10k"], "seeds": 1, "peers_dir": tmp_path}
    text = reproduce("table1", data_root, tmp_path, protocol="paper", **options)
    assert f"- {DIFFERENCES[0]}" in text
    folder = tmp_path / "table1-paper/livec-koniq10k/ssiqa/seed-0"
    report = json.loads((folder / "run/report.json").read_text())
    wanted = {"gamma": 1e-3, "alpha": 1.0, "queries": 6, "crop_rows": True, "replay_every": 100, "short_side": 176}
    assert {name: report["settings"][name] for name in wanted} == wanted
    # KonIQ's pictures of 200 by 180 became 384 by 512, and LIVEC's stayed.
    sizes = {part: read_image(next((folder / part).rglob("*.png"))).shape for part in ("labeled", "unlabeled", "test")}
    assert sizes == {"labeled": (180, 200, 3), "unlabeled": (512, 384, 3), "test": (512, 384, 3)}
    # The test looks at random crops, the exported scorer at a grid.
    outcome = json.loads((tmp_path / "table1-paper/results.json").read_text())["outcomes"][0]
    assert -1 <= outcome["plcc"] <= 1
    assert outcome["plcc"] != ssiqa.evaluate(ssiqa.load(folder / "run/student.pt"), folder / "test").plcc
    # First the teacher, then the student; where labels are lower for better images, the scores are not.
    finished: Any = SimpleNamespace(report=report, output_dir=folder / "run")
    given = Authors().settings(20, "livec") | settings | {"blocks": 1}
    phases: list[int] = []
    real = Run.load_weights
    monkeypatch.setattr(Run, "load_weights", lambda run, model, phase: (phases.append(phase), real(run, model, phase)))
    usual = Authors().measured(finished, folder / "test", given)
    table = folder / "test/labels.csv"
    table.write_text(table.read_text().replace("mos", "dmos", 1))
    turned = Authors().measured(finished, folder / "test", given)
    assert phases == [0, 1, 0, 1]
    assert usual[0].plcc != usual[1].plcc
    assert [one.plcc for one in turned] == pytest.approx([-one.plcc for one in usual])


def test_width_by_the_size_of_a() -> None:
    assert Authors().settings(20, "livec")["gamma"] == 1e-3
    assert Authors().settings(2501, "tid2013")["gamma"] == 1e-4
    assert Authors().settings(20, "csiq")["short_side"] == 512
    for phase in ("teacher", "student"):
        schedule, paper = Authors().settings(20, "livec")[phase], getattr(make_config("paper"), phase)
        assert schedule == replace(paper, crops=10, weight_decay=0.05, clip=5.0)


def test_resized_pictures_are_of_their_source(tmp_path: Path) -> None:
    """Kept by size and source, as PNG, or of SPAQ as JPEG; made again they are the same database."""
    for number in range(2):
        write_photo(tmp_path / f"spaq/{number}.png", texture(number, 0, size=(40, 60)))
    names = ("0.png", "1.png")
    spaq = Database("SPAQ", tmp_path / "spaq", names, np.arange(2.0), "mos", names, ("", ""))
    found = Authors().prepared(spaq, "spaq", tmp_path / "kept")
    assert found.root.name.startswith("512x384-")
    assert found.images == ("0.png.jpg", "1.png.jpg")
    assert read_image(found.root / "0.png.jpg").shape == (512, 384, 3)
    before = found.digest
    (found.root / "0.png.jpg").unlink()
    assert Authors().prepared(spaq, "spaq", tmp_path / "kept").digest == before
    assert Authors().prepared(spaq, "livefb", tmp_path / "kept").images == ("0.png.png", "1.png.png")
    os.utime(tmp_path / "spaq/1.png", (1, 1))
    assert Authors().prepared(spaq, "spaq", tmp_path / "kept").root != found.root


def test_labels_of_the_authors(data_root: Path) -> None:
    koniq = find_task("livec-koniq10k").read(data_root)[1]
    assert max(koniq.labels) == 4.5
    assert max(Authors().labelled(koniq, "koniq10k").labels) == 80
    assert Authors().labelled(koniq, "livec") is koniq
