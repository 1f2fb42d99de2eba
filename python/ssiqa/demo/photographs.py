"""The photographs that scikit-image and scikit-learn carry in their wheels, cut into regions."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssiqa.data import read_image
from ssiqa.errors import SsiqaError

REGION = 256
"""Side of a region in pixels."""

_FOLDERS = {"scikit-image": ("skimage", "data"), "scikit-learn": ("sklearn", "datasets/images")}


class Photograph(NamedTuple):
    """A photograph in a package, and the corners (top, left) of the regions to cut from it."""

    package: str
    file: str
    corners: tuple[tuple[int, int], ...]


def _grid(tops: tuple[int, ...], lefts: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    return tuple((top, left) for top in tops for left in lefts)


PORTRAITS = (
    Photograph("scikit-image", "astronaut.png", _grid((0, 256), (0, 256))),
    Photograph("scikit-image", "camera.png", _grid((0, 256), (0, 256))),
    Photograph("scikit-image", "chelsea.png", _grid((22,), (0, 195))),
    Photograph("scikit-image", "rocket.jpg", _grid((171,), (0, 192, 384))),
    Photograph("scikit-learn", "flower.jpg", _grid((0, 171), (100, 356))),
)
SCENES = (
    Photograph("scikit-learn", "china.jpg", _grid((0, 171), (0, 128))),
    Photograph("scikit-image", "coffee.png", _grid((0, 144), (0, 88))),
    Photograph("scikit-image", "motorcycle_left.png", _grid((0, 244), (0, 229))),
)
SCENES_TO_THE_RIGHT = (
    Photograph("scikit-learn", "china.jpg", _grid((0, 171), (384,))),
    Photograph("scikit-image", "coffee.png", _grid((0, 144), (344,))),
    Photograph("scikit-image", "motorcycle_left.png", _grid((0, 244), (485,))),
)
"""Of the same photographs as `SCENES`, what none of those regions shows."""


def cut_regions(photographs: tuple[Photograph, ...]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yields the name and the (256, 256, 3) RGB pixels of each region.

    Raises:
        SsiqaError: The package that carries a photograph is not installed.
    """
    for photograph in photographs:
        pixels = read_image(_folder_of(photograph.package) / photograph.file)
        for number, (top, left) in enumerate(photograph.corners):
            yield f"{Path(photograph.file).stem}-{number}", pixels[top : top + REGION, left : left + REGION].copy()


def _folder_of(package: str) -> Path:
    module, folder = _FOLDERS[package]
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise SsiqaError(f"The demo needs photographs that {package} carries: run pip install 'ssiqa[demo]'.")
    return Path(spec.origin).parent / folder
