"""The folders of `ssiqa demo`: photographs of two kinds, distorted in two ways, and how well each survived."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ssiqa.demo import distortions
from ssiqa.demo.distortions import Distortion, Image
from ssiqa.demo.photographs import PORTRAITS, SCENES, SCENES_TO_THE_RIGHT, Photograph, cut_regions
from ssiqa.demo.similarity import similarity
from ssiqa.errors import RunError, SsiqaError
from ssiqa.files import read_json, write_json, write_text, written_beside
from ssiqa.version import __version__

STEPS = 4
"""How many strengths of each distortion a region gets."""

_MARKER = "demo.json"
_FIRST_WORLD = (distortions.jpeg, distortions.gaussian_blur, distortions.white_noise, distortions.low_contrast)
_SECOND_WORLD = (
    distortions.jpeg2000,
    distortions.defocus,
    distortions.motion_blur,
    distortions.poisson_noise,
    distortions.rescale,
)
_ABOUT = """\
Made by `ssiqa demo` from photographs that {packages} carry, with these distortions: {distortions}.

{labels}
"""
_SCORES = """\
The scores in labels.csv are NOT human opinions. They say how similar an image is to the undistorted one, from 0 to 100
(100: identical), by a full-reference metric: the product of the SSIM of the luminance at full, half and quarter size,
weighted by local contrast. The column group names the region of a photograph that an image shows."""
_NO_SCORES = "There are no labels here: this is the folder to adapt to."


class DemoFolders(NamedTuple):
    """Where the folders are.

    Attributes:
        labeled: A: portraits of people, an animal, a flower and a rocket, with scores.
        unlabeled: B: scenes, with other distortions, without scores.
        unlabeled_test: Other regions of B's photographs with B's distortions, with scores, to measure on.
    """

    labeled: Path
    unlabeled: Path
    unlabeled_test: Path


class _Version(NamedTuple):
    """One image to make: a region as it is, or distorted."""

    region: str
    original: Image
    distortion: Distortion | None
    step: int
    seed: tuple[int, ...]

    @property
    def file(self) -> str:
        name = "original" if self.distortion is None else f"{self.distortion.__name__}-{self.step}"
        return f"{self.region}/{name}.png"

    def render(self) -> Image:
        if self.distortion is None:
            return self.original
        rng = np.random.default_rng(self.seed)
        strength = (self.step + rng.random()) / STEPS
        return self.distortion(self.original, strength, rng)


def make_demo_folders(root: Path, seed: int = 0) -> DemoFolders:
    """Makes the three folders below `root`, with the same pixels and labels for the same seed.

    The scores are a full-reference metric, not human opinions; a README.txt in each folder says so.

    Raises:
        RunError: `root` holds something else than this demo; nothing in it has been touched.
        SsiqaError: scikit-image is not installed, or the folders cannot be written.
    """
    folders = DemoFolders(root / "labeled", root / "unlabeled", root / "unlabeled_test")
    try:
        _claim(root, {"seed": seed, "version": __version__})
        _make_folder(folders.labeled, PORTRAITS, _FIRST_WORLD, (seed, 0), scored=True)
        _make_folder(folders.unlabeled, SCENES, _SECOND_WORLD, (seed, 1), scored=False)
        _make_folder(folders.unlabeled_test, SCENES_TO_THE_RIGHT, _SECOND_WORLD, (seed, 2), scored=True)
    except OSError as error:
        raise SsiqaError(f"The demo folders cannot be written to {root} ({error}): choose another place.") from error
    return folders


def _claim(root: Path, identity: dict[str, Any]) -> None:
    """Mark a new or empty folder as this demo's, or find the mark there: files of others are never written over."""
    marker = root / _MARKER
    if not root.exists() or all(item.name.startswith(".") for item in root.iterdir()):
        write_json(marker, identity)
    elif not marker.is_file() or _read_marker(marker) != identity:
        raise RunError(
            f"{root} is not empty and holds no demo with seed {identity['seed']} by ssiqa {identity['version']}; "
            "choose another folder."
        )


def _read_marker(marker: Path) -> Any:
    try:
        return read_json(marker)
    except ValueError:  # somebody's file of the same name
        return None


def _make_folder(
    folder: Path,
    photographs: tuple[Photograph, ...],
    world: tuple[Distortion, ...],
    seed: tuple[int, ...],
    scored: bool,
) -> None:
    versions = list(_versions(photographs, world, seed))

    def make(version: _Version) -> float:
        image = version.render()
        _write_png(folder / version.file, image)
        return similarity(version.original, image) if scored else float("nan")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        scores = list(pool.map(make, versions))
    if scored:
        write_text(folder / "labels.csv", _table(versions, scores))
    packages = " and ".join(sorted({photograph.package for photograph in photographs}))
    names = ", ".join(distortion.__name__.replace("_", " ") for distortion in world)
    about = _ABOUT.format(packages=packages, distortions=names, labels=_SCORES if scored else _NO_SCORES)
    write_text(folder / "README.txt", about)


def _versions(
    photographs: tuple[Photograph, ...], world: tuple[Distortion, ...], seed: tuple[int, ...]
) -> Iterator[_Version]:
    for number, (region, original) in enumerate(cut_regions(photographs)):
        yield _Version(region, original, None, 0, seed)
        for kind, distortion in enumerate(world):
            for step in range(STEPS):
                yield _Version(region, original, distortion, step, (*seed, number, kind, step))


def _write_png(path: Path, image: NDArray[np.uint8]) -> None:
    _, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    with written_beside(path) as beside:
        beside.write_bytes(data.tobytes())


def _table(versions: list[_Version], scores: list[float]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["image", "score", "group"])
    table.writerows(
        [version.file, f"{score:.3f}", version.region] for version, score in zip(versions, scores, strict=True)
    )
    return text.getvalue()
