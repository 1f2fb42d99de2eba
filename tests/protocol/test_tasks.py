"""Starred tasks: of B the four distortions that these databases have in common, by what they show and not by number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ssiqa.protocol.database import Database
from ssiqa.protocol.tasks import TASKS, find_task

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
