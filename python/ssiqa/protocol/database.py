"""A published database as one table, and as a labelled folder."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssiqa.data.table import LABELS_FILE, leads_out
from ssiqa.errors import DataError


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
        """SHA-256 of the images' names, stamps and labels: other files under the same names are another database."""
        named = "\n".join(
            f"{image}\t{self.stamp(image)}\t{label!r}"
            for image, label in zip(self.images, self.labels.tolist(), strict=True)
        )
        return hashlib.sha256(named.encode("utf-8", "surrogateescape")).hexdigest()

    def stamp(self, image: str) -> str:
        """Size and time of an image's file, by which another one is told from it without reading gigabytes."""
        found = (self.root / image).stat()
        return f"{found.st_size} {found.st_mtime_ns}"

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
        """Make ``folder`` what :func:`ssiqa.adapt` takes: links to the images and, if ``labeled``, ``labels.csv``.

        Where it has been that already, nothing changes.

        Raises:
            DataError: An image would lie outside of the folder, or the folder holds anything else.
        """
        links = {folder / image: (self.root / image).resolve() for image in self.images}
        if outside := next((image for image in self.images if leads_out(image)), None):
            raise DataError(f"{self.name} names the image {outside}, which would be linked outside of {folder}.")
        labels = {folder / LABELS_FILE: self._table()} if labeled else {}
        for path in folder.rglob("*"):
            ours = path.is_symlink() and path.resolve() == links.get(path)
            if not (path.is_dir() or ours or (path in labels and path.read_bytes() == labels[path])):
                raise DataError(f"{folder} holds {path.name}, which is not of this {self.name}: name an empty folder.")
        for link, image in links.items():
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(image)
        for path, table in labels.items():
            if not path.is_file():
                path.write_bytes(table)
        return folder

    def _table(self) -> bytes:
        """What ``labels.csv`` holds."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["image", self.column, "group"])
        table.writerows(zip(self.images, self.labels.tolist(), self.groups, strict=True))
        return text.getvalue().encode("utf-8")
