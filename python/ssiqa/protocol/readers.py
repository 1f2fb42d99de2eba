"""Readers of the published databases, each in the layout that its authors distribute."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.io import loadmat

from ssiqa.data.table import leads_out
from ssiqa.errors import DataError
from ssiqa.protocol.database import Database


class _Row(NamedTuple):
    """An image as a table has it, and where in which table that is."""

    place: str
    image: str
    label: Any
    group: str = ""
    distortion: str = ""


def read_live(root: Path) -> Database:
    """LIVE, release 2: 29 references, 779 images of 5 distortions, realigned DMOS."""
    scores = _matlab(root, "dmos_realigned.mat")
    labels, originals = scores["dmos_new"].ravel(), scores["orgs"].ravel()
    references = _strings(_matlab(root, "refnames_all.mat")["refnames_all"])
    counts = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}
    images = [(kind, f"{kind}/img{number}.bmp") for kind, of in counts.items() for number in range(1, of + 1)]
    places = [f"Entry {number} of {root / 'dmos_realigned.mat'}" for number in range(1, len(images) + 1)]
    rows = [
        _Row(place, image, label, reference, kind)
        for place, (kind, image), label, original, reference in zip(
            places, images, labels, originals, references, strict=True
        )
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
    for place, row in _sheet(root / "csiq.DMOS.xlsx", "image", "all_by_image"):
        content, kind = str(row["image"]), str(row["dst_type"])
        image = "dst_imgs/" + names[kind].format(content, int(row["dst_lev"]))
        rows.append(_Row(place, image, row["dmos"], content, kind))
    return _database("CSIQ", root, "dmos", rows)


def read_tid2013(root: Path) -> Database:
    """TID2013: 25 references, 3,000 images of 24 distortions, MOS 0..9."""
    rows, spelled = [], {path.name.lower(): path.name for path in (root / "distorted_images").glob("*")}
    table = root / "mos_with_names.txt"
    for number, line in enumerate(_lines(table), 1):
        if line.strip():
            label, name = line.split()
            content, kind, _ = name.split("_")
            # The table and the files of the archive differ in capitals.
            image = f"distorted_images/{spelled.get(name.lower(), name)}"
            rows.append(_Row(f"Line {number} of {table}", image, label, content.upper(), kind))
    return _database("TID2013", root, "mos", rows)


def read_kadid10k(root: Path) -> Database:
    """KADID-10k: 81 references, 10,125 images of 25 distortions; its column ``dmos`` is 1..5, higher is better."""
    rows = []
    for place, row in _csv(root / "dmos.csv"):
        kind = row["dist_img"].split("_")[1]
        rows.append(_Row(place, f"images/{row['dist_img']}", row["dmos"], row["ref_img"], kind))
    return _database("KADID-10k", root, "mos", rows)


def read_livec(root: Path) -> Database:
    """LIVE In the Wild Challenge: 1,162 photos, MOS 0..100; the seven for practice are left out."""
    names = _strings(_matlab(root, "Data/AllImages_release.mat")["AllImages_release"])
    labels = _matlab(root, "Data/AllMOS_release.mat")["AllMOS_release"].ravel()
    places = [f"Entry {number} of {root / 'Data/AllMOS_release.mat'}" for number in range(1, len(names) + 1)]
    rated = list(zip(places, names, labels, strict=True))[7:]
    return _database("LIVEC", root, "mos", [_Row(place, f"Images/{name}", label) for place, name, label in rated])


def read_koniq10k(root: Path, column: str = "MOS") -> Database:
    """KonIQ-10k: 10,073 photos at 1024x768, MOS 1..5, or by ``column="MOS_zscore"`` the same from z-scores, 0..100."""
    table = _csv(root / "koniq10k_scores_and_distributions.csv")
    rows = [_Row(place, f"1024x768/{row['image_name']}", row[column]) for place, row in table]
    return _database("KonIQ-10k", root, "mos", rows)


def read_livefb(root: Path) -> Database:
    """LIVE-FB (PaQ-2-PiQ): 39,810 photos, MOS 0..100."""
    table = _csv(root / "labels_image.csv")
    return _database(
        "LIVEFB", root, "mos", [_Row(place, f"database/{row['name']}", row["mos"]) for place, row in table]
    )


def read_spaq(root: Path) -> Database:
    """SPAQ: 11,125 smartphone photos, MOS 0..100."""
    table = _sheet(root / "Annotations/MOS and Image attribute scores.xlsx", "Image name")
    rows = [_Row(place, f"TestImage/{row['Image name']}", row["MOS"]) for place, row in table]
    return _database("SPAQ", root, "mos", rows)


def read_biq2021(root: Path) -> Database:
    """BIQ2021: 12,000 photos, MOS 0..1; the authors' training and test tables together."""
    tables = ("Train (Images and MOS).csv", "Test (Images and MOS).csv")
    rows = [
        _Row(place, f"Images/{row['Image Name']}", row["MOS"]) for name in tables for place, row in _csv(root / name)
    ]
    return _database("BIQ2021", root, "mos", rows)


_REFERENCE = ("ref_name", "hq_name")
_LABEL = ("mos", "dmos", "qmos", "elo_score", "score")
_PATCHES = "img_name/patch_name"
_LIVE = re.compile(r"(jp2k|jpeg|wn|gblur|fastfading)/img\d+(\.bmp)?")
_KADID = re.compile(r"I\d+_\d+_\d+\.png")
_NUMBERED = re.compile(r"t\d+\.bmp")
_PRACTICE = {f"t{number}.bmp" for number in range(1, 8)}


def read_pyiqa(meta: Path, root: Path) -> Database:
    """Any database of opinion scores that a meta CSV of pyiqa describes.

    As pyiqa does, it goes by position: image and label, or where the first column is one of references
    (``ref_name``, ``hq_name``) reference, image and label. A label called ``dmos`` is lower for better images, with
    two exceptions that are known by their images' names: LIVE's is called ``mos``, and KADID-10k's rises with quality.
    The seven photos for practice of LIVE In the Wild Challenge are left out where all of them are listed, t1.bmp to
    t7.bmp, and beside them others of other names. That of FLIVE lists patches, too; a patch is of its picture's group.

    Args:
        meta: The CSV; its label column is ``mos``, ``dmos``, ``qmos``, ``elo_score`` or ``score``, in small letters or
            capitals.
        root: What its names of images are relative to.

    Raises:
        DataError: The CSV is not there, not in UTF-8 or none of pyiqa's, or a row is wrong, or images are missing.

    Example:
        >>> read_pyiqa(Path("meta_info_CSIQDataset.csv"), Path("csiq")).link_to(Path("labeled"))  # doctest: +SKIP
    """
    if not meta.is_file():
        raise DataError(f"{meta} is not there.")
    try:
        table = csv.reader(_lines(meta))
    except UnicodeDecodeError as error:
        raise DataError(f"{meta} cannot be read ({error}): save it as comma-separated text in UTF-8.") from error
    header, *cells = [(table.line_num, row) for row in table if row] or [(0, [""])]
    names = [*header[1], "", ""]
    first = int(names[0] in _REFERENCE)  # the image's column
    label = names[first + 1].lower()
    if label not in _LABEL:
        raise DataError(
            f"{meta} is no meta CSV of pyiqa: it needs rows of image and label below a header like img_name,mos, or of "
            "reference, image and label below one like ref_name,dist_name,dmos."
        )
    rows = []
    for line, row in cells:
        place = f"Line {line} of {meta}"
        if len(row) < first + 2:
            raise DataError(f"{place} has no label.")
        image = row[first]
        group = row[0] if first else _of_patch(image) if names[0] == _PATCHES else ""
        rows.append(_Row(place, image, row[first + 1], group))
    numbered = {row.image for row in rows if _NUMBERED.fullmatch(row.image)}
    if numbered == _PRACTICE and len(rows) > len(numbered):
        rows = [row for row in rows if row.image not in numbered]
    of_live, of_kadid = (any(of.fullmatch(row.image) for row in rows[:1]) for of in (_LIVE, _KADID))
    lower = of_live or (label == "dmos" and not of_kadid)
    name = meta.stem.removeprefix("meta_info_").removesuffix("Dataset")
    return _database(name, root, "dmos" if lower else "mos", rows)


def _of_patch(image: str) -> str:
    """The name of the picture, without folder and ending."""
    return re.sub(r"(_patch_.*|\.\w+)$", "", image.rsplit("/", 1)[-1])


def _database(name: str, root: Path, column: str, rows: Iterable[_Row]) -> Database:
    found = sorted(rows, key=lambda row: row.image)
    if not found:
        raise DataError(f"The table of {name} in {root} rates no images.")
    labels = np.array([_label(row) for row in found], dtype=np.float64)
    for row, after in pairwise(found):
        if row.image == after.image:
            raise DataError(f"{after.place} rates {row.image}, as {row.place} does: keep one of them.")
    missing = [row.image for row in found if not (root / row.image).is_file()]
    if missing:
        raise DataError(f"{name} in {root} lacks {len(missing)} of its {len(found)} images, for example {missing[0]}.")
    return Database(
        name=name,
        root=root,
        images=tuple(row.image for row in found),
        labels=labels,
        column=column,
        groups=tuple(row.group or row.image for row in found),
        distortions=tuple(row.distortion for row in found),
    )


def _label(row: _Row) -> float:
    if leads_out(row.image):
        raise DataError(f"{row.place} names {row.image}, outside of the database.")
    try:
        label = float(row.label)
    except (TypeError, ValueError):
        label = np.nan
    if not np.isfinite(label):
        raise DataError(f"{row.place} rates {row.image} with {row.label!r}, which is no finite number.")
    return label


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8-sig").splitlines()


def _csv(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows below the header, and where they are."""
    table = csv.DictReader(_lines(path))
    return ((f"Line {table.line_num} of {path}", row) for row in table)


def _matlab(root: Path, name: str) -> dict[str, Any]:
    variables: dict[str, Any] = loadmat(str(root / name))
    return variables


def _strings(cells: Any) -> list[str]:
    """A MATLAB cell array of strings."""
    return [str(np.ravel(cell)[0]) for cell in np.ravel(cells)]


def _sheet(path: Path, first: str, sheet: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of an Excel sheet below its header, which is the row with a cell ``first``, and where they are."""
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise DataError(f"Reading {path.name} needs openpyxl: pip install 'ssiqa[protocol]'.") from error
    book = load_workbook(path, read_only=True, data_only=True)
    header: tuple[Any, ...] | None = None
    for number, row in enumerate((book[sheet] if sheet else book.worksheets[0]).iter_rows(values_only=True), 1):
        if header is None:
            header = row if first in row else None
        elif (values := dict(zip(header, row, strict=False)))[first] is not None:
            yield f"Row {number} of {path}", values
