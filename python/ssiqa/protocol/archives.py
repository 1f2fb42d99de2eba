"""The published databases as their authors hand them out: which files, in which layout, from where."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ssiqa.errors import DataError
from ssiqa.protocol.database import Database
from ssiqa.protocol.readers import (
    read_biq2021,
    read_csiq,
    read_kadid10k,
    read_koniq10k,
    read_live,
    read_livec,
    read_livefb,
    read_spaq,
    read_tid2013,
)

logger = logging.getLogger("ssiqa")


class Archive(NamedTuple):
    """A published database as its authors hand it out.

    Attributes:
        read: Makes a table of the folder that holds it, once the tables are there.
        tables: Files that it is read from.
        layout: What else the folder holds.
        images: How many are rated.
        origin: Where it comes from.
    """

    read: Callable[[Path], Database]
    tables: tuple[str, ...]
    layout: str
    images: int
    origin: str

    @property
    def asked(self) -> str:
        """What its folder must hold, in a sentence."""
        return f"It must hold {', '.join(self.tables)}, and {self.layout}; get them from {self.origin}."


ARCHIVES = {
    "live": Archive(
        read_live,
        ("dmos_realigned.mat", "refnames_all.mat"),
        "folders jp2k, jpeg, wn, gblur and fastfading of img1.bmp, img2.bmp, ...",
        779,
        "https://live.ece.utexas.edu/research/quality/subjective.htm",
    ),
    "csiq": Archive(
        read_csiq,
        ("csiq.DMOS.xlsx",),
        "dst_imgs with folders awgn, blur, contrast, fnoise, jpeg and jpeg2000",
        866,
        "https://s2.smu.edu/~eclarson/csiq.html",
    ),
    "tid2013": Archive(
        read_tid2013,
        ("mos_with_names.txt",),
        "distorted_images of I01_01_1.bmp, ...",
        3000,
        "http://www.ponomarenko.info/tid2013.htm",
    ),
    "kadid10k": Archive(
        read_kadid10k,
        ("dmos.csv",),
        "images of I01_01_01.png, ...",
        10125,
        "http://database.mmsp-kn.de/kadid-10k-database.html",
    ),
    "livec": Archive(
        read_livec,
        ("Data/AllImages_release.mat", "Data/AllMOS_release.mat"),
        "Images of 3.bmp, ...",
        1162,
        "https://live.ece.utexas.edu/research/ChallengeDB/index.html",
    ),
    "koniq10k": Archive(
        read_koniq10k,
        ("koniq10k_scores_and_distributions.csv",),
        "1024x768 of 10004473376.jpg, ...",
        10073,
        "http://database.mmsp-kn.de/koniq-10k-database.html",
    ),
    "livefb": Archive(
        read_livefb,
        ("labels_image.csv",),
        "database with folders such as voc_emotic_ava",
        39810,
        "https://github.com/baidut/PaQ-2-PiQ",
    ),
    "spaq": Archive(
        read_spaq,
        ("Annotations/MOS and Image attribute scores.xlsx",),
        "TestImage of 00001.jpg, ...",
        11125,
        "https://github.com/h4nwei/SPAQ",
    ),
    "biq2021": Archive(
        read_biq2021,
        ("Train (Images and MOS).csv", "Test (Images and MOS).csv"),
        "Images of the names in them",
        12000,
        "https://github.com/nisarahmedrana/BIQ2021",
    ),
}
"""By the name of the folder that holds the unpacked archive."""

_COMPLETE = 0.9
"""Share of the documented images below which a table is worth a warning."""


def no_folder(name: str, data_root: Path) -> str:
    """What is to be said where ``data_root`` has no folder of that name."""
    return f"There is no folder {name} in {data_root}. {ARCHIVES[name].asked}"


def read_database(name: str, data_root: Path) -> Database:
    """The database in ``data_root/name``, or in the one folder in there that its archive unpacks to.

    Raises:
        DataError: It is not there, or not laid out as its authors distribute it; says how and where they do.
    """
    archive = ARCHIVES[name]
    if not (data_root / name).is_dir():
        raise DataError(no_folder(name, data_root))
    root = _top(data_root / name, archive.tables[0])
    if missing := [table for table in archive.tables if not (root / table).is_file()]:
        raise DataError(f"{root} lacks {', '.join(missing)}. {archive.asked}")
    with faults_named(name, root):
        found = archive.read(root)
    if len(found.images) < _COMPLETE * archive.images:
        logger.warning(
            "%s in %s has %d images, of %d that its authors rated.", found.name, root, len(found.images), archive.images
        )
    return found


@contextmanager
def faults_named(name: str, root: Path) -> Iterator[None]:
    """What a reader stumbles over in ``root``, as a DataError that says how that database is laid out.

    A missing package or permission says itself what to do.
    """
    asked = ARCHIVES[name].asked
    try:
        yield
    except PermissionError as error:
        raise DataError(f"{error.filename} may not be read: {error.strerror}.") from error
    except DataError as error:
        if isinstance(error.__cause__, ImportError):
            raise
        raise DataError(f"{error} {asked}") from error
    except Exception as error:  # whatever another layout makes the parsers of these files stumble over
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(
            f"{root} is not laid out as the authors of this database distribute it ({reason}). {asked}"
        ) from error


def _top(folder: Path, table: str) -> Path:
    """The folder with the table: this one, or the only one in it that has it."""
    if (folder / table).is_file():
        return folder
    inner = [path for path in folder.iterdir() if (path / table).is_file()]
    return inner[0] if len(inner) == 1 else folder
