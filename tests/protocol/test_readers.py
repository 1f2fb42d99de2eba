"""Each database in miniature, in the exact layout that its authors distribute."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from openpyxl import Workbook
from scipy.io import savemat

from ssiqa.data import read_labeled_folder
from ssiqa.errors import DataError
from ssiqa.protocol.archives import ARCHIVES, read_database
from ssiqa.protocol.database import Database
from ssiqa.protocol.readers import read_koniq10k

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


@pytest.mark.parametrize("name", ARCHIVES)
def test_the_authors_layout(name: str, tmp_path: Path) -> None:
    make, column, scores, expected = MAKERS[name]
    make(tmp_path / name)
    found = read_database(name, tmp_path)
    assert len(found.images) == (980 if name == "live" else 2)
    assert found.column == column
    assert list(found.images) == sorted(found.images)
    for image, (label, group, distortion) in expected.items():
        row = found.images.index(image)
        assert (found.labels[row], found.groups[row], found.distortions[row]) == (label, group, distortion)

    (tmp_path / name / found.images[0]).unlink()
    with pytest.raises(DataError, match=r"lacks 1 of its .* images, for example .*\. It must hold .*; get them from"):
        read_database(name, tmp_path)
    (tmp_path / name / scores).unlink()
    with pytest.raises(DataError, match=f"lacks {re.escape(scores)}[,.]"):
        read_database(name, tmp_path)


@pytest.mark.parametrize("name", ARCHIVES)
def test_what_is_missing_is_said_with_layout_and_origin(name: str, tmp_path: Path) -> None:
    archive = ARCHIVES[name]
    asked = re.escape(
        f"It must hold {', '.join(archive.tables)}, and {archive.layout}; get them from {archive.origin}."
    )
    with pytest.raises(DataError, match=f"^There is no folder {name} in {tmp_path}. {asked}$"):
        read_database(name, tmp_path)
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=f"lacks {re.escape(', '.join(archive.tables))}. {asked}$"):
        read_database(name, tmp_path)


@pytest.mark.parametrize(("name", "top"), [("livec", "ChallengeDB_release"), ("kadid10k", "kadid10k")])
def test_the_folder_that_an_archive_unpacks_to_may_stay(name: str, top: str, tmp_path: Path) -> None:
    MAKERS[name][0](tmp_path / name / top)
    (tmp_path / name / "__MACOSX").mkdir()
    assert read_database(name, tmp_path).root == tmp_path / name / top
    MAKERS[name][0](tmp_path / name / "again")
    with pytest.raises(DataError, match=f"{tmp_path / name} lacks"):
        read_database(name, tmp_path)


def test_a_part_of_a_table_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_spaq(tmp_path / "spaq")
    read_database("spaq", tmp_path)
    assert f"SPAQ in {tmp_path / 'spaq'} has 2 images, of 11125 that its authors rated." in caplog.messages


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
    with pytest.raises(DataError, match=f"is not laid out as the authors of .*{reason}.*It must hold"):
        read_database(name, tmp_path)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["a.jpg,nan"], "Line 2 of {} rates database/a.jpg with 'nan', which is no finite number"),
        (["a.jpg,50", "b.jpg,inf"], "Line 3 of {} rates database/b.jpg with 'inf', which is no finite number"),
        (["a.jpg,"], "Line 2 of {} rates database/a.jpg with '', which is no finite number"),
        (["a.jpg"], "Line 2 of {} rates database/a.jpg with None, which is no finite number"),
        (["a.jpg,50", "b.jpg,40", "a.jpg,51"], "Line 4 of {0} rates database/a.jpg, as Line 2 of {0} does"),
        (["../../a.jpg,50"], "Line 2 of {} names database/../../a.jpg, outside of the database"),
        ([], "The table of LIVEFB in .* rates no images"),
    ],
)
def test_a_wrong_row_is_named(rows: list[str], said: str, tmp_path: Path) -> None:
    images(tmp_path / "livefb/database", ["a.jpg", "b.jpg"])
    images(tmp_path, ["a.jpg"])
    path = tmp_path / "livefb/labels_image.csv"
    path.write_text("\n".join(["name,mos", *rows]))
    with pytest.raises(DataError, match=said.format(path)):
        read_database("livefb", tmp_path)


def test_a_cell_without_label_is_named_in_a_sheet(tmp_path: Path) -> None:
    make_spaq(tmp_path / "spaq")
    path = tmp_path / "spaq/Annotations/MOS and Image attribute scores.xlsx"
    sheet(path, [["Image name", "MOS"], ["00001.jpg", 24.0], ["11125.jpg", None]])
    with pytest.raises(DataError, match=f"Row 3 of {path} rates TestImage/11125.jpg with None"):
        read_database("spaq", tmp_path)


def test_links_stay_in_their_folder_and_may_be_made_again(tmp_path: Path) -> None:
    make_kadid10k(tmp_path / "kadid10k")
    kadid = read_database("kadid10k", tmp_path)
    once = kadid.link_to(tmp_path / "linked")
    assert kadid.link_to(once) == once
    assert read_labeled_folder(once).labels.tolist() == kadid.labels.tolist()
    for others in (kadid.take(np.array([0])), replace(kadid, labels=kadid.labels + 1)):
        with pytest.raises(DataError, match="which is not of this KADID-10k: name an empty folder"):
            others.link_to(once)
    for name in ("../out.png", "/out.png", "C:\\out.png"):
        with pytest.raises(DataError, match="which would be linked outside of"):
            Database("Bad", tmp_path, (name,), np.zeros(1), "mos", (name,), ("",)).link_to(tmp_path / "new/deep")
    assert not (tmp_path / "new").exists()


def test_replaced_files_are_another_database(tmp_path: Path) -> None:
    make_kadid10k(tmp_path / "kadid10k")
    kadid = read_database("kadid10k", tmp_path)
    before = kadid.digest
    assert read_database("kadid10k", tmp_path).digest == before
    image = kadid.root / kadid.images[0]
    os.utime(image, (1, 1))
    assert kadid.digest != before
    stamped = kadid.digest
    image.write_bytes(IMAGE + b"0")
    os.utime(image, (1, 1))
    assert kadid.digest not in (before, stamped)


def test_koniq_has_two_columns_of_labels(tmp_path: Path) -> None:
    make_koniq10k(tmp_path)
    assert read_koniq10k(tmp_path).labels.tolist() == [3.83, 2.5]
    assert read_koniq10k(tmp_path, "MOS_zscore").labels.tolist() == [77.4, 50]


def test_references_stay_together_and_directions_are_kept(tmp_path: Path) -> None:
    make_live(tmp_path / "live")
    live = read_database("live", tmp_path).only(["wn", "gblur"])
    assert len(live.images) == 348
    folder = read_labeled_folder(live.link_to(tmp_path / "linked"))
    assert len(np.unique(folder.groups)) == 29
    assert folder.scale.sign == -1
    assert folder.labels.tolist() == live.labels.tolist()
    unlabeled = live.take(np.arange(3)).link_to(tmp_path / "without", labeled=False)
    assert not (unlabeled / "labels.csv").exists()
