"""Scorers that nobody trains, on the images of a table: NIQE, IL-NIQE, and the packages brisque and pypiqe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ssiqa.data import read_image
from ssiqa.errors import DataError
from ssiqa.files import read_json, write_json
from ssiqa.lanes import Lanes, batches
from ssiqa.progress import Task
from ssiqa.protocol.database import Database
from ssiqa.protocol.ilniqe import TEMPLATE, IlNiqe
from ssiqa.protocol.niqe import PARAMETERS, Niqe

Score = Callable[[NDArray[np.uint8]], float]
"""Of an RGB image, the lower the better."""

_KEPT_EVERY = 200


def open_peers(folder: Path | None) -> tuple[dict[str, Score], dict[str, str]]:
    """The peers that can be had here, by name, and why the others cannot.

    Args:
        folder: Holds the parameters of NIQE and IL-NIQE.
    """
    found: dict[str, Score] = {}
    missing: dict[str, str] = {}
    openers: dict[str, Callable[[], Score]] = {
        "NIQE": lambda: Niqe.load(_parameters(folder, PARAMETERS)).score,
        "ILNIQE": lambda: IlNiqe.load(_parameters(folder, TEMPLATE)).score,
        "BRISQUE": _brisque,
        "PIQE": _piqe,
    }
    for name, opened in openers.items():
        try:
            found[name] = opened()
        except DataError as error:
            missing[name] = str(error)
        except ImportError as error:
            missing[name] = f"{error.name or error} is not installed: pip install 'ssiqa[peers]'"
    return found, missing


def score_database(name: str, score: Score, database: Database, folder: Path) -> NDArray[np.float64]:
    """``(n,)`` scores of a database's images, the higher the better; what ``folder`` holds already is not repeated.

    Raises:
        DataError: An image cannot be read, or the peer has no score for it.
    """
    path = folder / database.name / f"{name}.json"
    kept: dict[str, float] = read_json(path) if path.is_file() else {}

    def judged(image: str) -> float:
        found = score(read_image(database.root / image))
        if not np.isfinite(found):
            raise DataError(f"{name} has no score for {database.root / image}.")
        return found

    wanted = [image for image in database.images if image not in kept]
    with Task(f"{name} on {database.name}", len(wanted)) as task, Lanes() as lanes:
        for some in batches(wanted, _KEPT_EVERY):
            kept |= zip(some, task.each(lanes.map(judged, some)), strict=True)
            write_json(path, kept)
    return -np.array([kept[image] for image in database.images])


def _parameters(folder: Path | None, name: str) -> Path:
    if folder is None or not (folder / name).is_file():
        raise DataError(f"it needs {name} in --peers-dir, or in a folder peers beside the databases")
    return folder / name


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
