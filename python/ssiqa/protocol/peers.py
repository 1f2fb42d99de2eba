"""Scorers that nobody trains, on the images of a table: NIQE, IL-NIQE, and the packages brisque and pypiqe."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ssiqa.data import read_image
from ssiqa.errors import DataError, first_line
from ssiqa.files import read_json, sha256, write_json
from ssiqa.lanes import Lanes, batches
from ssiqa.progress import Task
from ssiqa.protocol.database import Database
from ssiqa.protocol.ilniqe import TEMPLATE, IlNiqe
from ssiqa.protocol.niqe import PARAMETERS, Niqe
from ssiqa.version import __version__

Score = Callable[[NDArray[np.uint8]], float]
"""Of an RGB image, the lower the better."""


class Peer(NamedTuple):
    """A scorer that nobody trains.

    Attributes:
        score: Of an image.
        version: Of the code and parameters that it is made of: scores of another are not its.
    """

    score: Score
    version: str


_KEPT_EVERY = 200


def open_peers(folder: Path | None) -> tuple[dict[str, Peer], dict[str, str]]:
    """The peers that can be had here, by name, and why the others cannot.

    Args:
        folder: Holds the parameters of NIQE and IL-NIQE.
    """
    found: dict[str, Peer] = {}
    missing: dict[str, str] = {}
    openers: dict[str, Callable[[], Peer]] = {
        "NIQE": lambda: _of_parameters(folder, PARAMETERS, Niqe),
        "ILNIQE": lambda: _of_parameters(folder, TEMPLATE, IlNiqe),
        "BRISQUE": lambda: Peer(_brisque(), f"{__version__} {version('brisque')}"),
        "PIQE": lambda: Peer(_piqe(), f"{__version__} {version('pypiqe')}"),
    }
    for name, opened in openers.items():
        try:
            found[name] = opened()
        except DataError as error:
            missing[name] = str(error)
        except ImportError as error:
            missing[name] = f"{error.name or error} is not installed: pip install 'ssiqa[peers]'"
    return found, missing


def score_database(name: str, peer: Peer, database: Database, folder: Path) -> NDArray[np.float64]:
    """``(n,)`` scores of a database's images, the higher the better; what ``folder`` holds of the same files already is
    not repeated.

    Raises:
        DataError: An image cannot be read, or the peer has no score for it.
    """
    path = folder / database.name / f"{name} {peer.version}.json"
    kept: dict[str, list[Any]] = read_json(path) if path.is_file() else {}
    stamps = {image: database.stamp(image) for image in database.images}

    def judged(image: str) -> list[Any]:
        pixels = read_image(database.root / image)
        try:
            found = peer.score(pixels)
        except Exception as error:  # anything that a package of others may raise
            reason = first_line(error).rstrip(".")
            raise DataError(f"{name} fails on {database.root / image}: {reason}.") from error
        if not np.isfinite(found):
            raise DataError(f"{name} has no score for {database.root / image}.")
        return [stamps[image], found]

    wanted = [image for image in database.images if kept.get(image, [""])[0] != stamps[image]]
    with Task(f"{name} on {database.name}", len(wanted)) as task, Lanes() as lanes:
        for some in batches(wanted, _KEPT_EVERY):
            kept |= zip(some, task.each(lanes.map(judged, some)), strict=True)
            write_json(path, kept)
    return -np.array([kept[image][1] for image in database.images])


def _of_parameters(folder: Path | None, name: str, model: type[Niqe | IlNiqe]) -> Peer:
    if folder is None or not (folder / name).is_file():
        raise DataError(f"it needs {name} in --peers-dir, or in a folder peers beside the databases")
    return Peer(model.load(folder / name).score, f"{__version__} {sha256(folder / name)[:12]}")


def _brisque() -> Score:
    """The package's own ``score`` fails on its features, arrays of one number each, where numpy is 2.4 or newer."""
    from brisque import BRISQUE
    from skimage.color import rgb2gray

    model = BRISQUE()

    def score(image: NDArray[np.uint8]) -> float:
        grey = rgb2gray(image)
        halved = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_CUBIC)
        features = [np.ravel(found)[0] for scale in (grey, halved) for found in model.calculate_brisque_features(scale)]
        return float(model.calculate_image_quality_score(np.array(features, dtype=np.float64)))

    return score


def _piqe() -> Score:
    from pypiqe import piqe

    return lambda image: float(piqe(np.ascontiguousarray(image[..., ::-1]))[0])
