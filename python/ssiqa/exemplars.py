"""Exemplars of blocks as pictures in a run's folder: what a later update needs of photos that may be gone by then."""

from __future__ import annotations

import csv
import hashlib
import shutil
from pathlib import Path

import cv2
import numpy as np

from ssiqa import replay
from ssiqa.data import Photo
from ssiqa.errors import RunError
from ssiqa.files import written_beside
from ssiqa.material import Material, RatedPhotos
from ssiqa.photos import Photos
from ssiqa.run import PhaseRecord

FOLDER = "exemplars"
_TABLE = "pseudo_labels.csv"


def of_blocks(material: Material, records: list[PhaseRecord], every: int) -> RatedPhotos:
    """Of each block the photos on whose label its teacher agreed best, one for ``every``.

    Args:
        material: The run's photos.
        records: Those of all its phases.
        every: K2 of SDK-Sample; 0 for none.
    """
    chosen = [RatedPhotos.none()]
    for block, record in enumerate(records[1:]):
        rows = replay.exemplars(np.asarray(record.teacher_scores), record.targets, every)
        chosen.append(RatedPhotos(material.block_photos(block), record.targets).take(rows))
    return RatedPhotos.join(chosen)


def save(folder: Path, rated: RatedPhotos, photos: Photos) -> None:
    """Write working images, which are their own working images, as PNG, and their labels on the internal scale."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = []
    for number, (photo, target) in enumerate(zip(rated.photos, rated.targets, strict=True)):
        name = f"{number:06}.png"
        encoded, png = cv2.imencode(".png", photos.working(photo)[..., ::-1])
        if not encoded:
            raise RunError(f"{photo.path} could not be kept as an exemplar; OpenCV cannot write PNG.")
        (folder / name).write_bytes(png.tobytes())
        rows.append((name, hashlib.sha256(png.tobytes()).hexdigest(), repr(float(target))))
    with written_beside(folder / _TABLE) as beside, beside.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "sha256", "pseudo_label"])
        writer.writerows(rows)


def load(folder: Path) -> RatedPhotos:
    """The exemplars of a finished run.

    Raises:
        RunError: They are missing or damaged.
    """
    try:
        with (folder / _TABLE).open(newline="") as file:
            rows = list(csv.DictReader(file))
        photos = [Photo(folder / row["image"], bytes.fromhex(row["sha256"])) for row in rows]
        return RatedPhotos(photos, np.array([float(row["pseudo_label"]) for row in rows]))
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise RunError(f"The exemplars in {folder} are missing or damaged; a run without them cannot go on.") from error
