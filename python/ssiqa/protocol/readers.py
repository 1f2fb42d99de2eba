"""Readers of the published databases, each in the layout that its authors distribute."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.io import loadmat

from ssiqa.errors import DataError
from ssiqa.protocol.database import Database


class _Row(NamedTuple):
    image: str
    label: float
    group: str = ""
    distortion: str = ""


def read_live(root: Path) -> Database:
    """LIVE, release 2: 29 references, 779 images of 5 distortions, realigned DMOS."""
    scores = _matlab(root, "dmos_realigned.mat")
    labels, originals = scores["dmos_new"].ravel(), scores["orgs"].ravel()
    references = _strings(_matlab(root, "refnames_all.mat")["refnames_all"])
    counts = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}
    places = [(kind, f"{kind}/img{number}.bmp") for kind, count in counts.items() for number in range(1, count + 1)]
    rows = [
        _Row(image, label, reference, kind)
        for (kind, image), label, original, reference in zip(places, labels, originals, references, strict=True)
        if not original  # copies of references are among them
    ]
    return _database("LIVE", root, "dmos", rows)


def read_csiq(root: Path) -> Database:
    """CSIQ: 30 references, 866 images of 6 distortions, DMOS 0..1."""
    names = {
        "noise": "awgn/{}.AWGN.{}.png",
        "blur": "blur/{}.BLUR.{}.png",
        "contrast": "contrast/{}.contrast.{}.png",
        "fnoise": "fnoise/{}.fnoise.{}.png",
        "jpeg": "jpeg/{}.JPEG.{}.png",
        "jpeg 2000": "jpeg2000/{}.jpeg2000.{}.png",
    }
    rows = []
    for row in _sheet(root, "csiq.DMOS.xlsx", "image", "all_by_image"):
        content, kind = str(row["image"]), str(row["dst_type"])
        image = "dst_imgs/" + names[kind].format(content, int(row["dst_lev"]))
        rows.append(_Row(image, float(row["dmos"]), content, kind))
    return _database("CSIQ", root, "dmos", rows)


def read_tid2013(root: Path) -> Database:
    """TID2013: 25 references, 3,000 images of 24 distortions, MOS 0..9."""
    rows, spelled = [], {path.name.lower(): path.name for path in (root / "distorted_images").glob("*")}
    for line in _text(root, "mos_with_names.txt").split("\n"):
        if line.strip():
            label, name = line.split()
            content, kind, _ = name.split("_")
            # The table and the files of the archive differ in capitals.
            image = f"distorted_images/{spelled.get(name.lower(), name)}"
            rows.append(_Row(image, float(label), content.upper(), kind))
    return _database("TID2013", root, "mos", rows)


def read_kadid10k(root: Path) -> Database:
    """KADID-10k: 81 references, 10,125 images of 25 distortions; its column ``dmos`` is 1..5, higher is better."""
    rows = []
    for row in _csv(root, "dmos.csv"):
        kind = row["dist_img"].split("_")[1]
        rows.append(_Row(f"images/{row['dist_img']}", float(row["dmos"]), row["ref_img"], kind))
    return _database("KADID-10k", root, "mos", rows)


def read_livec(root: Path) -> Database:
    """LIVE In the Wild Challenge: 1,162 photos, MOS 0..100; the seven for practice are left out."""
    names = _strings(_matlab(root, "Data/AllImages_release.mat")["AllImages_release"])
    labels = _matlab(root, "Data/AllMOS_release.mat")["AllMOS_release"].ravel()
    rated = list(zip(names, labels, strict=True))[7:]
    return _database("LIVEC", root, "mos", [_Row(f"Images/{name}", label) for name, label in rated])


def read_koniq10k(root: Path) -> Database:
    """KonIQ-10k: 10,073 photos at 1024x768, MOS 1..5."""
    table = _csv(root, "koniq10k_scores_and_distributions.csv")
    rows = [_Row(f"1024x768/{row['image_name']}", float(row["MOS"])) for row in table]
    return _database("KonIQ-10k", root, "mos", rows)


def read_livefb(root: Path) -> Database:
    """LIVE-FB (PaQ-2-PiQ): 39,810 photos, MOS 0..100."""
    table = _csv(root, "labels_image.csv")
    return _database("LIVEFB", root, "mos", [_Row(f"database/{row['name']}", float(row["mos"])) for row in table])


def read_spaq(root: Path) -> Database:
    """SPAQ: 11,125 smartphone photos, MOS 0..100."""
    table = _sheet(root, "Annotations/MOS and Image attribute scores.xlsx", "Image name")
    return _database("SPAQ", root, "mos", [_Row(f"TestImage/{row['Image name']}", float(row["MOS"])) for row in table])


def read_biq2021(root: Path) -> Database:
    """BIQ2021: 12,000 photos, MOS 0..1; the authors' training and test tables together."""
    rows = []
    for name in ("Train (Images and MOS).csv", "Test (Images and MOS).csv"):
        rows += [_Row(f"Images/{row['Image Name']}", float(row["MOS"])) for row in _csv(root, name)]
    return _database("BIQ2021", root, "mos", rows)


def read_pyiqa(meta: Path, root: Path) -> Database:
    """Any database that a meta CSV of pyiqa describes.

    Args:
        meta: The CSV, with columns ``img_name`` or ``dist_name``, ``mos`` or ``dmos``, and perhaps ``ref_name``.
        root: What its names of images are relative to.

    Raises:
        DataError: The CSV is not there or none of pyiqa's, or images are missing.

    Example:
        >>> read_pyiqa(Path("meta_info_CSIQDataset.csv"), Path("csiq")).link_to(Path("labeled"))  # doctest: +SKIP
    """
    if not meta.is_file():
        raise DataError(f"{meta} is not there.")
    rows = _csv(meta.parent, meta.name)
    image = next((name for name in ("dist_name", "img_name") if name in rows[0]), None)
    label = next((name for name in ("mos", "dmos") if name in rows[0]), None)
    if image is None or label is None:
        raise DataError(f"{meta} is no meta CSV of pyiqa: it needs img_name or dist_name, and mos or dmos.")
    # KADID-10k calls its opinion scores dmos, and so does its meta CSV.
    column = "mos" if "kadid" in meta.name.lower() else label
    name = meta.stem.removeprefix("meta_info_").removesuffix("Dataset")
    try:
        read = [_Row(row[image], float(row[label]), row.get("ref_name", "")) for row in rows]
    except (TypeError, ValueError) as error:
        raise DataError(f"{meta} has a row whose {label} is no number ({error}).") from error
    return _database(name, root, column, read)


READERS: dict[str, Callable[[Path], Database]] = {
    "live": read_live,
    "csiq": read_csiq,
    "tid2013": read_tid2013,
    "kadid10k": read_kadid10k,
    "livec": read_livec,
    "koniq10k": read_koniq10k,
    "livefb": read_livefb,
    "spaq": read_spaq,
    "biq2021": read_biq2021,
}
"""By the name of the folder that holds the unpacked archive."""

ORIGINS = {
    "live": "https://live.ece.utexas.edu/research/quality/subjective.htm",
    "csiq": "https://s2.smu.edu/~eclarson/csiq.html",
    "tid2013": "http://www.ponomarenko.info/tid2013.htm",
    "kadid10k": "http://database.mmsp-kn.de/kadid-10k-database.html",
    "livec": "https://live.ece.utexas.edu/research/ChallengeDB/index.html",
    "koniq10k": "http://database.mmsp-kn.de/koniq-10k-database.html",
    "livefb": "https://github.com/baidut/PaQ-2-PiQ",
    "spaq": "https://github.com/h4nwei/SPAQ",
    "biq2021": "https://github.com/nisarahmedrana/BIQ2021",
}
"""Where their authors hand them out."""


def read_database(name: str, data_root: Path) -> Database:
    """The database in ``data_root/name``.

    Raises:
        DataError: It is not there, or not laid out as its authors distribute it; says where they do.
    """
    try:
        return READERS[name](data_root / name)
    except DataError as error:
        raise DataError(f"{error} Its authors hand it out at {ORIGINS[name]}.") from error
    except Exception as error:  # whatever another layout makes the parsers of these files stumble over
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(
            f"{data_root / name} is not laid out as the authors of this database distribute it ({reason}): unpack "
            f"their archive there again, from {ORIGINS[name]}."
        ) from error


def _database(name: str, root: Path, column: str, rows: Iterable[_Row]) -> Database:
    found = sorted(rows)
    missing = [row.image for row in found if not (root / row.image).is_file()]
    if missing:
        raise DataError(
            f"{name} in {root} lacks {len(missing)} of its {len(found)} images, for example {missing[0]}: unpack its "
            "archive there again."
        )
    return Database(
        name=name,
        root=root,
        images=tuple(row.image for row in found),
        labels=np.array([row.label for row in found], dtype=np.float64),
        column=column,
        groups=tuple(row.group or row.image for row in found),
        distortions=tuple(row.distortion for row in found),
    )


def _file(root: Path, name: str) -> Path:
    if not (root / name).is_file():
        raise DataError(f"{root} has no {name}, which the authors' archive holds: unpack the archive there.")
    return root / name


def _text(root: Path, name: str) -> str:
    return _file(root, name).read_text(encoding="utf-8-sig")


def _csv(root: Path, name: str) -> list[dict[str, str]]:
    rows = list(csv.DictReader(_text(root, name).splitlines()))
    if not rows:
        raise DataError(f"{root / name} holds no rows: unpack the archive again.")
    return rows


def _matlab(root: Path, name: str) -> dict[str, Any]:
    variables: dict[str, Any] = loadmat(str(_file(root, name)))
    return variables


def _strings(cells: Any) -> list[str]:
    """A MATLAB cell array of strings."""
    return [str(np.ravel(cell)[0]) for cell in np.ravel(cells)]


def _sheet(root: Path, name: str, first: str, sheet: str | None = None) -> Iterator[dict[str, Any]]:
    """Rows of an Excel sheet below its header, which is the row with a cell ``first``."""
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise DataError(f"Reading {name} needs openpyxl: pip install 'ssiqa[protocol]'.") from error
    book = load_workbook(_file(root, name), read_only=True, data_only=True)
    header: tuple[Any, ...] | None = None
    for row in (book[sheet] if sheet else book.worksheets[0]).iter_rows(values_only=True):
        if header is None:
            header = row if first in row else None
        elif (values := dict(zip(header, row, strict=False)))[first] is not None:
            yield values
