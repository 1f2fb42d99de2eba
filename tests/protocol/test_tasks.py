"""Tables and their tasks; of starred ones B's four common distortions, by what they show and not by number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssiqa.config import make_config
from ssiqa.protocol.authors import Authors
from ssiqa.protocol.database import Database
from ssiqa.protocol.published import PUBLISHED
from ssiqa.protocol.tasks import OURS, TABLES, TASKS, find_task, tables_of

from .test_readers import images, make_kadid10k, make_live, make_tid2013, sheet, table

COMMON = {"white noise", "Gaussian blur", "JPEG", "JPEG 2000"}

SHOWN = {
    "csiq": {
        "noise": "white noise",
        "blur": "Gaussian blur",
        "contrast": "contrast",
        "fnoise": "pink noise",
        "jpeg": "JPEG",
        "jpeg 2000": "JPEG 2000",
    },
    "tid2013": {
        "01": "white noise",
        "02": "noise in colours",
        "05": "high-frequency noise",
        "07": "quantization",
        "08": "Gaussian blur",
        "09": "denoising",
        "10": "JPEG",
        "11": "JPEG 2000",
        "12": "JPEG with errors",
        "13": "JPEG 2000 with errors",
        "24": "chromatic aberrations",
    },
    "kadid10k": {
        "01": "Gaussian blur",
        "02": "lens blur",
        "08": "saturation",
        "09": "JPEG 2000",
        "10": "JPEG",
        "11": "white noise",
        "12": "noise in colours",
        "13": "impulse noise",
        "25": "contrast",
    },
}
"""Of each database its distortions, by the names that its table gives them, as its authors describe them."""


def make_all_of_csiq(root: Path) -> None:
    folders = {"noise": "awgn/1600.AWGN", "blur": "blur/1600.BLUR", "jpeg": "jpeg/1600.JPEG"}
    folders |= {"contrast": "contrast/1600.contrast", "fnoise": "fnoise/1600.fnoise"}
    folders |= {"jpeg 2000": "jpeg2000/1600.jpeg2000"}
    images(root, [f"dst_imgs/{name}.1.png" for name in folders.values()])
    rows = [[1600, kind, 1, 0.1] for kind in folders]
    sheet(root / "csiq.DMOS.xlsx", [["image", "dst_type", "dst_lev", "dmos"], *rows], "all_by_image")


def make_all_of_tid2013(root: Path) -> None:
    names = [f"I01_{kind:02d}_1.bmp" for kind in range(1, 25)]
    images(root, [f"distorted_images/{name}" for name in names])
    (root / "mos_with_names.txt").write_text("".join(f"5.5 {name}\n" for name in names))


def make_all_of_kadid10k(root: Path) -> None:
    names = [f"I01_{kind:02d}_01.png" for kind in range(1, 26)]
    images(root, [f"images/{name}" for name in names])
    table(root / "dmos.csv", [["dist_img", "ref_img", "dmos"], *([name, "I01.png", 3.0] for name in names)])


SOURCES: dict[str, Callable[[Path], None]] = {"live": make_live, "tid2013": make_tid2013, "kadid10k": make_kadid10k}
TARGETS: dict[str, Callable[[Path], None]] = {
    "csiq": make_all_of_csiq,
    "tid2013": make_all_of_tid2013,
    "kadid10k": make_all_of_kadid10k,
}


@pytest.mark.parametrize("name", [task.name for task in TASKS if task.starred])
def test_a_star_keeps_the_common_distortions_of_b(name: str, tmp_path: Path) -> None:
    task = find_task(name)
    SOURCES[task.source](tmp_path / task.source)
    TARGETS[task.target](tmp_path / task.target)
    source, target = task.read(tmp_path)
    shown = SHOWN[task.target]
    assert sorted(shown[kind] for kind in target.distortions) == sorted(COMMON)
    whole_source, whole_target = find_task(name.removesuffix("*")).read(tmp_path)
    assert set(whole_target.distortions) >= shown.keys()
    assert source.images == whole_source.images  # the star is about B alone


def test_only_takes_images_labels_and_groups_along() -> None:
    names = ("a.png", "b.png", "c.png")
    found = Database("Few", Path(), names, np.arange(3.0), "mos", ("A", "B", "C"), ("blur", "jpeg", "blur")).only(
        ["blur"]
    )
    assert (found.images, found.labels.tolist(), found.groups) == (("a.png", "c.png"), [0, 2], ("A", "C"))


def test_tables_name_what_the_paper_reports() -> None:
    assert len(TASKS) == 8
    for name, rows in PUBLISHED.items():
        ours = [(row.task, row.variant) for row in rows if row.kind == "SS-IQA"]
        variants = ["SS-IQA" if variant == OURS else variant for variant in TABLES[name].variants]
        assert sorted(ours) == sorted((task.name, variant) for task in TABLES[name].tasks for variant in variants)
    assert find_task("live-csiq*").starred
    assert not find_task("live-csiq").starred
    assert tables_of(["live-csiq"]) == ["table1"]
    assert tables_of(["csiq-live"]) == ["table1", "table5"]
    assert tables_of(["livec-livec"]) == ["table2"]
    assert tables_of(None) == list(TABLES)


def test_k1_and_k2_are_settings() -> None:
    settings = TABLES["table6"].variants
    assert make_config(**settings["K1=20 K2=0"]).replay_pair == (20, 0)
    assert make_config(**settings["K1=100 K2=100"]) == make_config(replay_every=(100, 100))


@pytest.mark.parametrize("chosen", [{}, {"preset": "paper"}, Authors().settings(100, "live")])
@pytest.mark.parametrize("name", list(TABLES))
def test_every_row_can_run_with_either_preset_and_protocol(name: str, chosen: dict[str, Any]) -> None:
    """Rows of a table about training block by block train a student, and differ from each other."""
    common = {**TABLES[name].settings, **chosen}
    rows = [make_config(**{**common, **changes}) for changes in TABLES[name].variants.values()]
    assert len(set(rows)) == len(rows)
    if name not in ("table1", "table2"):
        paper = make_config("paper")
        for row in rows:  # labels by the regression alone, read at the last layer, and every phase stands
            assert (row.student, row.teacher_share, row.depths) == (chosen.get("student", paper.student), 0.0, False)
            assert row.tolerance == 2
