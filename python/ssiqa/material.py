"""The photos of a run, read, checked and dealt out: training part and hold-out of A, blocks of B."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ssiqa.config import Config
from ssiqa.data import (
    MINIMUM_LABELED,
    CheckResult,
    ImageError,
    LabeledFolder,
    Photo,
    UnlabeledFolder,
    check_images,
    holdout_split,
    partition,
    quiet_opencv,
    read_image,
    read_labeled_folder,
    read_unlabeled_folder,
)
from ssiqa.errors import DataError, SsiqaError
from ssiqa.photos import Photos
from ssiqa.progress import Task
from ssiqa.run import PhaseRecord

logger = logging.getLogger("ssiqa")

OnError = Literal["raise", "skip"]


@dataclass(frozen=True)
class RatedPhotos:
    """Photos with a target each: truth or pseudo-label.

    Attributes:
        photos: n photos.
        targets: ``(n,)`` on the internal scale.
    """

    photos: list[Photo]
    targets: NDArray[np.float64]

    @staticmethod
    def none() -> RatedPhotos:
        return RatedPhotos([], np.empty(0))

    def take(self, rows: NDArray[np.int64]) -> RatedPhotos:
        return RatedPhotos([self.photos[row] for row in rows], self.targets[rows])

    @staticmethod
    def join(parts: list[RatedPhotos]) -> RatedPhotos:
        photos = [photo for part in parts for photo in part.photos]
        return RatedPhotos(photos, np.concatenate([part.targets for part in parts]))


@dataclass(frozen=True)
class Material:
    """A and B as a run sees them.

    Attributes:
        labeled: Folder A.
        unlabeled: Folder B, without what was skipped.
        train: Rows of A to train on.
        holdout: Rows of A that are only ever evaluated, but that the scale of labels is that of all of A.
        blocks: Rows of B, block by block.
        digests: SHA-256 of each photo, of A and of B.
        skipped: Photos of B that cannot be read, with the reason.
        fingerprints: SHA-256 of both folders' names, contents and labels.
    """

    labeled: LabeledFolder
    unlabeled: UnlabeledFolder
    train: NDArray[np.int64]
    holdout: NDArray[np.int64]
    blocks: list[NDArray[np.int64]]
    digests: tuple[tuple[bytes, ...], tuple[bytes, ...]]
    skipped: dict[str, str]
    fingerprints: dict[str, str]

    @cached_property
    def truth(self) -> RatedPhotos:
        """The training part of A."""
        targets = self.labeled.scale.to_internal(self.labeled.labels[self.train])
        return RatedPhotos(self._labeled_photos(self.train), targets)

    @property
    def train_groups(self) -> NDArray[np.int64]:
        """``(n,)`` the group of each photo of the training part; where all are one group, each is its own."""
        groups = self.labeled.groups[self.train]
        return groups if len(np.unique(groups)) > 1 else np.arange(len(groups))

    @property
    def holdout_photos(self) -> list[Photo]:
        return self._labeled_photos(self.holdout)

    @property
    def holdout_labels(self) -> NDArray[np.float64]:
        """Truth of the hold-out on the labels' own scale."""
        return self.labeled.labels[self.holdout]

    @property
    def holdout_groups(self) -> NDArray[np.int64]:
        """``(n,)`` the group of each photo of the hold-out."""
        return self.labeled.groups[self.holdout]

    def block_names(self, block: int) -> list[str]:
        return [self.unlabeled.images[row] for row in self.blocks[block]]

    def block_photos(self, block: int) -> list[Photo]:
        folder, digests = self.unlabeled, self.digests[1]
        return [Photo(folder.root / folder.images[row], digests[row]) for row in self.blocks[block]]

    def learnt(self, records: Sequence[PhaseRecord]) -> list[RatedPhotos]:
        """Blocks with their labels, of phases that were not undone; records are those of phase 0 and on."""
        return [
            RatedPhotos(self.block_photos(record.phase - 1), record.targets)
            for record in records[1:]
            if record.step > 0
        ]

    def summary(self) -> dict[str, Any]:
        """Counts, fingerprints and skipped photos, ready for JSON."""
        return {
            "labeled": {
                "folder": str(self.labeled.root.resolve()),
                "photos": len(self.labeled.images),
                "train": len(self.train),
                "holdout": len(self.holdout),
                "fingerprint": self.fingerprints["labeled"],
            },
            "unlabeled": {
                "photos": len(self.unlabeled.images),
                "blocks": [len(block) for block in self.blocks],
                "fingerprint": self.fingerprints["unlabeled"],
                "skipped": self.skipped,
            },
        }

    def _labeled_photos(self, rows: NDArray[np.int64]) -> list[Photo]:
        folder, digests = self.labeled, self.digests[0]
        return [Photo(folder.root / folder.images[row], digests[row]) for row in rows]


def fingerprints(
    labeled_dir: str | PathLike[str], unlabeled_dir: str | PathLike[str], without: Container[str]
) -> dict[str, str]:
    """Those of a finished run's material, by reading its photos and decoding none.

    Args:
        labeled_dir: Folder A, with ``labels.csv``.
        unlabeled_dir: Folder B.
        without: Names of the photos of B that the run skipped; those that can be read now are other material.

    Raises:
        SsiqaError: A folder or a file cannot be read.
    """
    labeled, unlabeled = read_labeled_folder(labeled_dir), read_unlabeled_folder(unlabeled_dir)
    with quiet_opencv():
        images = (name for name in unlabeled.images if name not in without or _is_readable(unlabeled.root / name))
        unlabeled = replace(unlabeled, images=tuple(images))

    def admit(photo: Photo, data: bytes) -> None:
        """As it is: it was decoded when it was trained on."""

    return _fingerprints(*_check("Comparing photos", labeled, unlabeled, "raise", admit))


def gather(
    labeled_dir: str | PathLike[str],
    unlabeled_dir: str | PathLike[str],
    config: Config,
    on_error: OnError,
    photos: Photos,
) -> Material:
    """Read both folders, decode every photo that is not in the cache yet, and split by the seed.

    Args:
        labeled_dir: Folder A, with ``labels.csv``.
        unlabeled_dir: Folder B.
        config: Its seed, hold-out share and number of blocks decide the splits.
        on_error: What an unreadable photo of B does; one of A always raises.
        photos: Where decoded photos are kept.

    Raises:
        SsiqaError: Something in the folders cannot be used; nothing has been trained yet, and
            nothing written but the cache.
    """
    if on_error not in get_args(OnError):
        raise SsiqaError(f"on_error is {on_error!r}; it must be one of: {', '.join(get_args(OnError))}.")
    labeled, unlabeled = read_labeled_folder(labeled_dir), read_unlabeled_folder(unlabeled_dir)
    if len(labeled.images) < MINIMUM_LABELED:
        raise DataError(
            f"{labeled.root} holds {len(labeled.images)} labelled images; training needs at least {MINIMUM_LABELED}."
        )
    _split(labeled, config)  # fails now rather than after all photos are read
    checked = _check("Checking photos", labeled, unlabeled, on_error, photos.admit)
    labeled = _copies_together(labeled, checked[0].digests)
    train, holdout = _split(labeled, config)
    unlabeled = replace(unlabeled, images=checked[1].readable)
    _warn_of_shared(checked[0], checked[1], unlabeled)
    return Material(
        labeled,
        unlabeled,
        train,
        holdout,
        partition(len(unlabeled.images), config.blocks, config.seed),
        (checked[0].digests, checked[1].digests),
        checked[1].skipped,
        _fingerprints(*checked),
    )


def _split(labeled: LabeledFolder, config: Config) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    train, holdout = holdout_split(labeled.groups, config.holdout, config.seed)
    if min(len(train), len(holdout)) < 2:
        raise DataError(
            f"The groups in {labeled.root / 'labels.csv'} leave {len(train)} images to train on and {len(holdout)} to "
            "hold out; give more photos, smaller groups or another holdout, so that each side gets at least 2."
        )
    return train, holdout


def _copies_together(labeled: LabeledFolder, digests: Sequence[bytes]) -> LabeledFolder:
    """Groups with a photo in common become one: a copy in the hold-out would have been trained on."""
    contents, first, of_each = np.unique(np.array(digests), return_index=True, return_inverse=True)
    copies = np.setdiff1d(np.arange(len(digests)), first)
    if len(copies) == 0:
        return labeled
    logger.warning(
        "%d of the labelled photos in %s are copies of others (%s of %s): they share a group.",
        len(copies),
        labeled.root,
        labeled.images[copies[0]] + ("" if len(copies) == 1 else ", ..."),
        labeled.images[first[of_each[copies[0]]]],
    )
    groups = np.unique(labeled.groups, return_inverse=True)[1]
    links = coo_array((np.ones(len(groups)), (groups, of_each)), shape=(groups.max() + 1, len(contents)))
    of_groups = connected_components(links @ links.T, directed=False)[1]
    return replace(labeled, groups=of_groups[groups].astype(np.int64))


def _warn_of_shared(labeled: CheckResult, unlabeled: CheckResult, folder: UnlabeledFolder) -> None:
    """They are photos like any other to a run, but its hold-out is no longer unseen."""
    known = set(labeled.digests)
    shared = [name for name, digest in zip(unlabeled.readable, unlabeled.digests, strict=True) if digest in known]
    if shared:
        logger.warning(
            "%d of the %d unlabelled photos in %s are labelled ones, too (%s): what is said of A's hold-out is too "
            "favourable then; take them out.",
            len(shared),
            len(unlabeled.readable),
            folder.root,
            shared[0] if len(shared) == 1 else f"{shared[0]}, ...",
        )


def _is_readable(path: Path) -> bool:
    try:
        read_image(path)
    except ImageError:
        return False
    return True


def _check(
    title: str,
    labeled: LabeledFolder,
    unlabeled: UnlabeledFolder,
    on_error: OnError,
    admit: Callable[[Photo, bytes], object],
) -> tuple[CheckResult, CheckResult]:
    with Task(title, len(labeled.images) + len(unlabeled.images)) as task:

        def tick(done: int, total: int) -> None:
            task.advance(1)

        truth = check_images(
            labeled.root,
            labeled.images,
            on_error="raise",
            labels=labeled.scale.sign * labeled.labels,  # a column that turns from mos to dmos makes other material
            groups=labeled.groups,
            progress=tick,
            admit=admit,
        )
        pool = check_images(unlabeled.root, unlabeled.images, on_error=on_error, progress=tick, admit=admit)
        return truth, pool


def _fingerprints(labeled: CheckResult, unlabeled: CheckResult) -> dict[str, str]:
    return {"labeled": labeled.fingerprint, "unlabeled": unlabeled.fingerprint}
