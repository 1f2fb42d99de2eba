"""Each database in miniature, in the exact layout that its authors distribute."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from openpyxl import Workbook
from scipy.io import savemat

from ssiqa.data import read_labeled_folder
from ssiqa.errors import DataError
from ssiqa.protocol.readers import ORIGINS, READERS, read_database, read_pyiqa

_, ENCODED = cv2.imencode(".bmp", np.zeros((2, 2, 3), np.uint8))
IMAGE = ENCODED.tobytes()


def images(root: Path, names: Iterable[str]) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(IMAGE)


def table(path: Path, rows: list[list[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def sheet(path: Path, rows: list[list[Any]], title: str = "Sheet1") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    book = Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    book.save(path)


def cells(names: list[str], *, column: bool) -> np.ndarray:
    array = np.array([np.array([name]) for name in names] + [None], dtype=object)[:-1]
    return array[:, None] if column else array[None]


def make_live(root: Path) -> None:
    kinds = [("jp2k", 227), ("jpeg", 233), ("wn", 174), ("gblur", 174), ("fastfading", 174)]
    images(root, (f"{kind}/img{number}.bmp" for kind, count in kinds for number in range(1, count + 1)))
    originals = np.zeros((1, 982))
    originals[0, [3, 981]] = 1
    savemat(root / "dmos_realigned.mat", {"dmos_new": np.arange(982.0)[None], "orgs": originals})
    references = [f"ref{number % 29}.bmp" for number in range(982)]
    savemat(root / "refnames_all.mat", {"refnames_all": cells(references, column=False)})


def make_csiq(root: Path) -> None:
    images(root, [f"dst_imgs/{name}.png" for name in ("awgn/1600.AWGN.1", "jpeg2000/trolley.jpeg2000.5")])
    header = [None, None, None, "image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"]
    first = [None, None, None, 1600, 1, "noise", 1, 0.02, 0.062]
    second = [None, None, None, "trolley", 3, "jpeg 2000", 5, 0.04, 0.91]
    sheet(root / "csiq.DMOS.xlsx", [["CSIQ"], [], [], header, first, second, [None]], "all_by_image")


def make_tid2013(root: Path) -> None:
    images(root, [f"distorted_images/{name}" for name in ("i01_01_1.bmp", "I25_24_5.bmp")])
    (root / "mos_with_names.txt").write_text("5.51429 I01_01_1.bmp\r\n2.1 I25_24_5.bmp\r\n")


def make_kadid10k(root: Path) -> None:
    images(root, ["images/I01_01_01.png", "images/I81_25_05.png"])
    rows = [["I01_01_01.png", "I01.png", 4.57, 0.5], ["I81_25_05.png", "I81.png", 1.2, 0.4]]
    table(root / "dmos.csv", [["dist_img", "ref_img", "dmos", "var"], *rows])


def make_livec(root: Path) -> None:
    names = [f"t{number}.bmp" for number in range(1, 8)] + ["3.bmp", "4.JPG"]
    images(root, [f"Images/{name}" for name in names[7:]] + [f"Images/trainingImages/{name}" for name in names[:7]])
    (root / "Data").mkdir()
    savemat(root / "Data/AllImages_release.mat", {"AllImages_release": cells(names, column=True)})
    savemat(root / "Data/AllMOS_release.mat", {"AllMOS_release": np.arange(40.0, 49.0)[None]})


def make_koniq10k(root: Path) -> None:
    images(root, ["1024x768/10004473376.jpg", "1024x768/826373.jpg"])
    rows = [
        ["10004473376.jpg", 0, 0, 25, 73, 7, 105, 3.83, 0.53, 77.4],
        ["826373.jpg", 1, 9, 50, 40, 5, 105, 2.5, 0.6, 50],
    ]
    header = ["image_name", "c1", "c2", "c3", "c4", "c5", "c_total", "MOS", "SD", "MOS_zscore"]
    table(root / "koniq10k_scores_and_distributions.csv", [header, *rows])


def make_livefb(root: Path) -> None:
    images(root, ["database/voc_emotic_ava/a.jpg", "database/blur_dataset/b.jpg"])
    rows = [["voc_emotic_ava/a.jpg", 73.3], ["blur_dataset/b.jpg", 51.1]]
    table(root / "labels_image.csv", [["name", "mos"], *rows])


def make_spaq(root: Path) -> None:
    images(root, ["TestImage/00001.jpg", "TestImage/11125.jpg"])
    header = ["Image name", "MOS", "Brightness", "Colorfulness", "Contrast", "Noisiness", "Sharpness"]
    rows = [["00001.jpg", 24.0, 1, 2, 3, 4, 5], ["11125.jpg", 83.33, 1, 2, 3, 4, 5]]
    sheet(root / "Annotations/MOS and Image attribute scores.xlsx", [header, *rows])


def make_biq2021(root: Path) -> None:
    images(root, ["Images/a.jpg", "Images/b.jpg"])
    for name, row in (("Train", ["a.jpg", 0.4779, 0.1]), ("Test", ["b.jpg", 0.81, 0.1])):
        table(root / f"{name} (Images and MOS).csv", [["Image Name", "MOS", "Standard Deviation"], row])


MAKERS: dict[str, tuple[Callable[[Path], None], str, str, dict[str, tuple[float, str, str]]]] = {
    "live": (make_live, "dmos", "dmos_realigned.mat", {"wn/img1.bmp": (460.0, "ref25.bmp", "wn")}),
    "csiq": (
        make_csiq,
        "dmos",
        "csiq.DMOS.xlsx",
        {
            "dst_imgs/awgn/1600.AWGN.1.png": (0.062, "1600", "noise"),
            "dst_imgs/jpeg2000/trolley.jpeg2000.5.png": (0.91, "trolley", "jpeg 2000"),
        },
    ),
    "tid2013": (
        make_tid2013,
        "mos",
        "mos_with_names.txt",
        {
            "distorted_images/i01_01_1.bmp": (5.51429, "I01", "01"),
            "distorted_images/I25_24_5.bmp": (2.1, "I25", "24"),
        },
    ),
    "kadid10k": (make_kadid10k, "mos", "dmos.csv", {"images/I81_25_05.png": (1.2, "I81.png", "25")}),
    "livec": (make_livec, "mos", "Data/AllMOS_release.mat", {"Images/4.JPG": (48.0, "Images/4.JPG", "")}),
    "koniq10k": (
        make_koniq10k,
        "mos",
        "koniq10k_scores_and_distributions.csv",
        {"1024x768/10004473376.jpg": (3.83, "1024x768/10004473376.jpg", "")},
    ),
    "livefb": (
        make_livefb,
        "mos",
        "labels_image.csv",
        {"database/blur_dataset/b.jpg": (51.1, "database/blur_dataset/b.jpg", "")},
    ),
    "spaq": (
        make_spaq,
        "mos",
        "Annotations/MOS and Image attribute scores.xlsx",
        {"TestImage/11125.jpg": (83.33, "TestImage/11125.jpg", "")},
    ),
    "biq2021": (make_biq2021, "mos", "Train (Images and MOS).csv", {"Images/b.jpg": (0.81, "Images/b.jpg", "")}),
}


@pytest.mark.parametrize("name", READERS)
def test_the_authors_layout(name: str, tmp_path: Path) -> None:
    make, column, scores, expected = MAKERS[name]
    make(tmp_path)
    found = READERS[name](tmp_path)
    assert len(found.images) == (980 if name == "live" else 2)
    assert found.column == column
    assert list(found.images) == sorted(found.images)
    for image, (label, group, distortion) in expected.items():
        row = found.images.index(image)
        assert (found.labels[row], found.groups[row], found.distortions[row]) == (label, group, distortion)

    (tmp_path / found.images[0]).unlink()
    with pytest.raises(DataError, match=r"lacks 1 of its .* images, for example .*: unpack"):
        READERS[name](tmp_path)
    (tmp_path / scores).unlink()
    with pytest.raises(DataError, match=r"has no .*, which the authors' archive holds"):
        READERS[name](tmp_path)


@pytest.mark.parametrize("name", READERS)
def test_what_is_missing_is_said_with_where_it_comes_from(name: str, tmp_path: Path) -> None:
    assert ORIGINS.keys() == READERS.keys()
    with pytest.raises(DataError, match=f"has no .* Its authors hand it out at {ORIGINS[name]}"):
        read_database(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "file", "content", "reason"),
    [
        ("tid2013", "mos_with_names.txt", b"5.5 i01 01_1.bmp\n", "ValueError"),
        ("koniq10k", "koniq10k_scores_and_distributions.csv", b"image_name,score\n1.png,3\n", "KeyError: 'MOS'"),
        ("live", "refnames_all.mat", b"MATLAB 5.0 torn", "Error"),
        ("csiq", "csiq.DMOS.xlsx", b"no workbook", "BadZipFile"),
    ],
)
def test_another_layout_is_one_sentence(name: str, file: str, content: bytes, reason: str, tmp_path: Path) -> None:
    MAKERS[name][0](tmp_path / name)
    (tmp_path / name / file).write_bytes(content)
    with pytest.raises(DataError, match=f"is not laid out as the authors of .*{reason}.*unpack their archive there"):
        read_database(name, tmp_path)


def test_references_stay_together_and_directions_are_kept(tmp_path: Path) -> None:
    make_live(tmp_path / "live")
    live = READERS["live"](tmp_path / "live").only(["wn", "gblur"])
    assert len(live.images) == 348
    folder = read_labeled_folder(live.link_to(tmp_path / "linked"))
    assert len(np.unique(folder.groups)) == 29
    assert folder.scale.sign == -1
    assert folder.labels.tolist() == live.labels.tolist()
    unlabeled = live.take(np.arange(3)).link_to(tmp_path / "without", labeled=False)
    assert not (unlabeled / "labels.csv").exists()


@pytest.mark.parametrize(
    ("meta", "header", "column"),
    [
        ("meta_info_TID2013Dataset.csv", ["ref_name", "dist_name", "mos", "std"], "mos"),
        ("meta_info_LIVEIQADataset.csv", ["ref_name", "dist_name", "dmos", "std"], "dmos"),
        ("meta_info_KADID10kDataset.csv", ["ref_name", "dist_name", "dmos", "std"], "mos"),  # higher is better there
        ("meta_info_kadid10k.csv", ["ref_name", "dist_name", "dmos", "std"], "mos"),
        ("meta_info_SPAQDataset.csv", ["img_name", "mos", "std"], "mos"),
    ],
)
def test_meta_tables_of_pyiqa(tmp_path: Path, meta: str, header: list[str], column: str) -> None:
    images(tmp_path, ["a.png", "b.png"])
    rows = [["one.png"] * ("ref_name" in header) + [name, label, 0.1] for name, label in (("a.png", 1.5), ("b.png", 2))]
    table(tmp_path / meta, [header, *rows])
    found = read_pyiqa(tmp_path / meta, tmp_path)
    assert found.images == ("a.png", "b.png")
    assert found.labels.tolist() == [1.5, 2.0]
    assert found.column == column
    assert len(set(found.groups)) == (1 if "ref_name" in header else 2)


def test_a_table_that_is_none_of_pyiqas(tmp_path: Path) -> None:
    table(tmp_path / "meta.csv", [["name", "stars"], ["a.png", 4]])
    with pytest.raises(DataError, match="needs img_name or dist_name, and mos or dmos"):
        read_pyiqa(tmp_path / "meta.csv", tmp_path)
    table(tmp_path / "meta.csv", [["img_name", "mos"], ["a.png", "n/a"]])
    with pytest.raises(DataError, match=r"meta\.csv has a row whose mos is no number"):
        read_pyiqa(tmp_path / "meta.csv", tmp_path)
    with pytest.raises(DataError, match=r"none\.csv is not there"):
        read_pyiqa(tmp_path / "none.csv", tmp_path)
