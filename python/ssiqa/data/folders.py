"""The two folders a user has: photos with labels, and photos without."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Set
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from ssiqa.data.images import IMAGE_EXTENSIONS, find_photos
from ssiqa.data.labels import LabelScale
from ssiqa.data.table import LABELS_FILE, LabelRow, read_label_table
from ssiqa.errors import DataError

MINIMUM_LABELED = 10
"""Labelled photos below which training makes no sense; two are enough to compare scores with."""

_LOG = logging.getLogger("ssiqa")
_CONVERT = "convert them to jpg or png"


@dataclass(frozen=True)
class LabeledFolder:
    """A folder of photos with one label each.

    Attributes:
        root: The folder.
        images: Paths of the n photos relative to `root`, with `/`, sorted.
        labels: (n,) labels on the user's scale.
        groups: (n,) numbers from 0; photos of one group stay on one side of a split.
        scale: The scale of the labels.
    """

    root: Path
    images: tuple[str, ...]
    labels: NDArray[np.float64]
    groups: NDArray[np.int64]
    scale: LabelScale


@dataclass(frozen=True)
class UnlabeledFolder:
    """A folder of photos.

    Attributes:
        root: The folder.
        images: Paths of the photos relative to `root`, with `/`, sorted.
    """

    root: Path
    images: tuple[str, ...]


def read_unlabeled_folder(path: str | os.PathLike[str]) -> UnlabeledFolder:
    """Finds the photos of a folder, at any depth; a `labels.csv` in it is not looked at.

    Raises:
        DataError: The folder is missing, is a file or holds no images.
    """
    root = Path(path)
    images, unsupported = _photos_of(root)
    _warn_of(root, unsupported)
    return UnlabeledFolder(root, images)


def read_labeled_folder(path: str | os.PathLike[str]) -> LabeledFolder:
    """Finds the photos of a folder and their labels.

    `labels.csv` lies in the folder and has a header with a column `image`, `file` or `path` (relative to the folder),
    a column `mos`, `dmos` or `score`, and optionally `group`. Without a group a photo is a group of its own.

    Raises:
        DataError: The folder, its images or `labels.csv` cannot be used; the message says which and what to do.
    """
    root = Path(path)
    images, unsupported = _photos_of(root)
    column, rows = read_label_table(root / LABELS_FILE)
    rows = _as_on_disk(rows, {*images, *unsupported})
    _check_match(root, images, unsupported, rows)
    _warn_of(root, unsupported)
    if len(images) < 2:
        raise DataError(f"{root} holds one labelled image: add images with their labels.")
    labels = np.array([rows[image].label for image in images], dtype=np.float64)
    if labels.min() == labels.max():
        raise DataError(f"All labels in {root / LABELS_FILE} are {labels[0]:g}: give labels that tell images apart.")
    groups = _number_groups([rows[image].group for image in images])
    return LabeledFolder(root, images, labels, groups, LabelScale.fit(labels, column))


def _photos_of(root: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The images, at least one, and the photos of kinds that are not supported."""
    if not root.exists():
        raise DataError(f"The folder {root} does not exist: check the path.")
    if not root.is_dir():
        raise DataError(f"{root} is a file: give the folder that holds the images.")
    images, unsupported = find_photos(root)
    if not images and unsupported:
        raise DataError(f"{root} holds no images but {_count_kinds(unsupported)}: {_CONVERT}.")
    if not images:
        kinds = " ".join(sorted(extension.removeprefix(".") for extension in IMAGE_EXTENSIONS))
        raise DataError(f"{root} holds no images: put files of the kinds {kinds} into it.")
    return tuple(images), tuple(unsupported)


def _warn_of(root: Path, unsupported: Collection[str]) -> None:
    if unsupported:
        _LOG.warning("Left out of %s: %s; %s to use them.", root, _count_kinds(unsupported), _CONVERT)


def _count_kinds(unsupported: Collection[str]) -> str:
    kinds = " ".join(sorted({Path(name).suffix.lower().removeprefix(".") for name in unsupported}))
    return f"{len(unsupported)} file(s) of kinds that are not supported ({kinds})"


def _as_on_disk(rows: dict[str, LabelRow], names: Set[str]) -> dict[str, LabelRow]:
    """Rows under the names of the files, also where one has letters with their accents and the other both apart."""
    composed = {normalize("NFC", name): name for name in names}
    named = {name if name in names else composed.get(normalize("NFC", name), name): row for name, row in rows.items()}
    return named if len(named) == len(rows) and len(composed) == len(names) else rows


def _check_match(root: Path, images: tuple[str, ...], unsupported: tuple[str, ...], rows: dict[str, LabelRow]) -> None:
    if unreadable := rows.keys() & set(unsupported):
        raise DataError(
            f"{root / LABELS_FILE} names images of a kind that is not supported ({_name_some(unreadable)}): "
            f"{_CONVERT} and name the new files there."
        )
    if missing := rows.keys() - set(images):
        raise DataError(
            f"{root / LABELS_FILE} has labels without an image ({_name_some(missing)}): "
            "add these images to the folder or remove their rows."
        )
    if unlabeled := set(images) - rows.keys():
        raise DataError(
            f"{root} has images without a label ({_name_some(unlabeled)}): "
            f"add rows for them to {LABELS_FILE} or move them out of the folder."
        )


def _name_some(names: Collection[str], shown: int = 3) -> str:
    """Names the first few, and says how many more there are."""
    text = ", ".join(sorted(names)[:shown])
    return text if len(names) <= shown else f"{text} and {len(names) - shown} more"


def _number_groups(names: list[str | None]) -> NDArray[np.int64]:
    """Numbers groups in order of first appearance; None is a group of its own each time."""
    numbers: dict[str | int, int] = {}
    keys = (position if name is None else name for position, name in enumerate(names))
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
