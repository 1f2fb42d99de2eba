"""A published database as one table, and as a labelled folder."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssiqa.data.table import LABELS_FILE


@dataclass(frozen=True)
class Database:
    """Rated images where their authors' archive puts them.

    Attributes:
        name: As the paper writes it.
        root: The unpacked archive.
        images: Paths of the n images relative to ``root``, with ``/``.
        labels: ``(n,)`` on the authors' scale.
        column: ``"mos"``, or ``"dmos"`` where a higher label means a worse image.
        groups: Of each image the content that it shares with others: its reference, or the image itself.
        distortions: Of each image the kind of its distortion, by the authors' name for it; empty for authentic ones.
    """

    name: str
    root: Path
    images: tuple[str, ...]
    labels: NDArray[np.float64]
    column: str
    groups: tuple[str, ...]
    distortions: tuple[str, ...]

    @property
    def quality(self) -> NDArray[np.float64]:
        """``(n,)`` labels, or their negatives where a higher label means a worse image."""
        return self.labels if self.column == "mos" else -self.labels

    @property
    def digest(self) -> str:
        """SHA-256 of the images' names and labels."""
        named = "\n".join(f"{image}\t{label!r}" for image, label in zip(self.images, self.labels.tolist(), strict=True))
        return hashlib.sha256(named.encode("utf-8", "surrogateescape")).hexdigest()

    def take(self, rows: NDArray[np.int64]) -> Database:
        def chosen(values: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(values[row] for row in rows)

        return replace(
            self,
            images=chosen(self.images),
            labels=self.labels[rows],
            groups=chosen(self.groups),
            distortions=chosen(self.distortions),
        )

    def only(self, distortions: Collection[str]) -> Database:
        """The images with one of these distortions."""
        return self.take(np.flatnonzero([kind in distortions for kind in self.distortions]))

    def link_to(self, folder: Path, *, labeled: bool = True) -> Path:
        """Make ``folder`` what :func:`ssiqa.adapt` takes: links to the images and, if ``labeled``, ``labels.csv``."""
        for image in self.images:
            link = folder / image
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to((self.root / image).resolve())
        if labeled:
            with (folder / LABELS_FILE).open("w", newline="", encoding="utf-8") as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerow(["image", self.column, "group"])
                table.writerows(zip(self.images, self.labels.tolist(), self.groups, strict=True))
        return folder
