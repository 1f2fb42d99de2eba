"""Exemplars of blocks as pictures in a run's folder: what a later update needs of photos that may be gone by then."""

from __future__ import annotations

import csv
import hashlib
import shutil
from pathlib import Path

import cv2
import numpy as np
import torch

from ssiqa import replay
from ssiqa.config import Config
from ssiqa.data import Photo
from ssiqa.errors import RunError
from ssiqa.files import written_beside
from ssiqa.material import Material, RatedPhotos
from ssiqa.photos import Photos
from ssiqa.run import PhaseRecord
from ssiqa.seeding import generator

FOLDER = "exemplars"
MEASURED = 50
_TABLE = "pseudo_labels.csv"


def of_blocks(material: Material, records: list[PhaseRecord], config: Config) -> RatedPhotos:
    """Photos of the blocks that were learnt, one for K2 of each block.

    For a student that is trained they are those on whose label the teacher agreed best, to be replayed. One that is a
    regression remembers by its centres; then they are random ones, at least ``MEASURED`` of each block, which show what
    an update forgets.

    Args:
        material: The run's photos.
        records: Those of all its phases.
        config: Its settings.
    """
    every, rng = config.replay_pair[1], generator(config.seed, "exemplars")
    chosen = [RatedPhotos.none()]
    standing = [record for record in records[1:] if record.step > 0]
    for rated, record in zip(material.learnt(records), standing, strict=True):
        if config.student is None and every > 0:
            rows = rng.permutation(len(rated.photos))[: max(MEASURED, -(-len(rated.photos) // every))]
        else:
            rows = replay.exemplars(torch.tensor(record.teacher_scores, dtype=torch.float64), record.targets, every)
        chosen.append(rated.take(rows))
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
        for photo in photos:  # now rather than after all phases
            if hashlib.sha256(photo.path.read_bytes()).digest() != photo.digest:
                raise ValueError(photo.path)
        return RatedPhotos(photos, np.array([float(row["pseudo_label"]) for row in rows]))
    except (FileNotFoundError, KeyError, ValueError, TypeError) as error:
        raise RunError(f"The exemplars in {folder} are missing or damaged; a run without them cannot go on.") from error
