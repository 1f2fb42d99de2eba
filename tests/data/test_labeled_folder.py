"""labels.csv: what is accepted, and one clear sentence for what is not."""

from pathlib import Path

import numpy as np
import pytest

from ssiqa.data import read_labeled_folder
from ssiqa.errors import DataError

from .pictures import write_image

NAMES = tuple(f"{number:02}.png" for number in range(12))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        write_image(tmp_path / name, number)
    return tmp_path


def table(header: str = "image,mos", row: str = "{name},{number}", names: tuple[str, ...] = NAMES) -> str:
    rows = [row.format(name=name, number=number) for number, name in enumerate(names)]
    return "\n".join([header, *rows]) + "\n"


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    (folder / "labels.csv").write_text(text, encoding=encoding)
    return folder


@pytest.mark.parametrize("image", ["image", "file", "path", " Image ", "PATH"])
@pytest.mark.parametrize("label", ["mos", "dmos", "score", "MOS "])
def test_column_names(folder: Path, image: str, label: str) -> None:
    labeled = read_labeled_folder(write(folder, table(f"{image},{label}")))
    assert labeled.images == NAMES
    assert labeled.labels.tolist() == list(range(12))
    assert labeled.scale.column == label.strip().lower()
    assert labeled.groups.tolist() == list(range(12))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("row", ["{name},{number}", "./{name}, {number} ", '"{name}","{number}"', ".\\{name},{number}"])
def test_ways_to_write_a_row(folder: Path, encoding: str, row: str) -> None:
    text = table(row=row).replace("\n", "\r\n\r\n")
    assert read_labeled_folder(write(folder, text, encoding)).images == NAMES


def test_rows_in_any_order_and_other_columns(folder: Path) -> None:
    text = table("id,score,file,camera", "7,{number},{name},nikon", NAMES[::-1])
    assert read_labeled_folder(write(folder, text)).labels.tolist() == list(range(12))[::-1]


def test_accents_may_be_written_both_ways(folder: Path) -> None:
    """As one letter in the table and as two in the folder, as macOS hands names on."""
    (folder / NAMES[0]).rename(folder / "cafe\u0301.png")
    labeled = read_labeled_folder(write(folder, table(names=("caf\u00e9.png", *NAMES[1:]))))
    assert dict(zip(labeled.images, labeled.labels, strict=True))["cafe\u0301.png"] == 0
    write_image(folder / "caf\u00e9.png", 99)  # both are there: which one is meant is not guessed
    with pytest.raises(DataError, match="without a label"):
        read_labeled_folder(folder)


def test_images_in_folders_below(tmp_path: Path) -> None:
    names = tuple(f"deep/er/{number:02}.jpg" for number in range(10))
    for name in names:
        write_image(tmp_path / name)
    text = table(names=tuple(name.replace("/", "\\") for name in names))
    assert read_labeled_folder(write(tmp_path, text)).images == names


def test_groups_are_numbered_as_they_appear_and_empty_ones_stand_alone(folder: Path) -> None:
    groups = ["castle", "castle", "", "5", "", "castle", "5", "a b", "", "x", "x", "castle"]
    rows = [f"{name},{number},{group}" for number, (name, group) in enumerate(zip(NAMES, groups, strict=True))]
    labeled = read_labeled_folder(write(folder, "\n".join(["image,mos,Group", *reversed(rows)])))
    assert labeled.groups.tolist() == [0, 0, 1, 2, 3, 0, 2, 4, 5, 6, 6, 0]
    assert labeled.groups.dtype == np.int64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"labels\.csv is empty: add a header"),
        (table("image,quality"), r"labels\.csv has no column for the label: .* mos, dmos or score"),
        (table("photo,mos"), r"labels\.csv has no column for the image path: .* image, file or path"),
        (table("image;mos", "{name};{number}"), "comma-separated"),
        (table("image,mos,dmos", "{name},1,2"), r"several columns for the label \(mos and dmos\): keep one"),
        (table("image,mos,path", "{name},1,2"), r"several columns for the image path \(image and path\): keep one"),
        (table("image,group,mos,group"), r"several columns 'group': keep one"),
        (table() + "99.png,1\n", r"labels\.csv has labels without an image \(99\.png\)"),
        (table() + "sub/00.png,1\n", r"labels without an image \(sub/00\.png\)"),
        (table(names=NAMES[:5]), r"images without a label \(05\.png, 06\.png, 07\.png and 4 more\)"),
        (table() + "./00.png,3\n", r"Line 14 of .*labels\.csv labels 00\.png again, after line 2: keep one"),
        (table(row="{name},good"), r"Line 2 of .*labels\.csv has the label 'good': give a finite number"),
        (table(row="{name},"), r"Line 2 of .* has the label ''"),
        (table(row="{name}"), r"Line 2 of .* has the label ''"),
        (table() + "99.png,NaN\n", r"Line 14 of .*'NaN'"),
        (table() + "99.png,-inf\n", r"Line 14 of .*'-inf'"),
        (
            table(row="{name},3,5"),
            r"Line 2 of .*labels\.csv has more cells than the header: write decimals with a point",
        ),
        (table() + '99.png,"3,5"\n', r"Line 14 of .*'3,5'"),
        (table() + ",3\n", r"Line 14 of .* names no image"),
        (table() + "../99.png,3\n", r"Line 14 of .* names \.\./99\.png, outside of the folder"),
        (table() + "/etc/99.png,3\n", "outside of the folder"),
        (table() + "C:\\99.png,3\n", "outside of the folder"),
        (table(row="{name},4.5"), r"All labels in .*labels\.csv are 4\.5"),
        (table() + '"99.png,3\n', r"labels\.csv cannot be read .* UTF-8"),
    ],
)
def test_wrong_table_is_one_clear_sentence(folder: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_labeled_folder(write(folder, text))
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_table_in_another_encoding(folder: Path) -> None:
    with pytest.raises(DataError, match=r"labels\.csv cannot be read .* UTF-8"):
        read_labeled_folder(write(folder, "image,mos,beschreibung\nä.png,1,x\n", "latin-1"))


def test_no_table(folder: Path) -> None:
    with pytest.raises(DataError, match=r"has no labels\.csv: add one with the columns image and mos"):
        read_labeled_folder(folder)


def test_two_images_are_enough_to_read_and_one_is_not(tmp_path: Path) -> None:
    write_image(tmp_path / NAMES[0])
    with pytest.raises(DataError, match=r"holds one labelled image: add"):
        read_labeled_folder(write(tmp_path, table(names=NAMES[:1])))
    write_image(tmp_path / NAMES[1])
    assert read_labeled_folder(write(tmp_path, table(names=NAMES[:2]))).images == NAMES[:2]


def test_labelled_image_of_an_unsupported_kind_is_to_be_converted(folder: Path) -> None:
    (folder / "99.HEIC").touch()
    with pytest.raises(DataError, match=r"labels\.csv names images .* not supported \(99\.HEIC\): convert"):
        read_labeled_folder(write(folder, table() + "99.HEIC,1\n"))


def test_unsupported_images_without_label_are_left_out_aloud(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "99.nef").touch()
    assert read_labeled_folder(write(folder, table())).images == NAMES
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        f"Left out of {folder}: 1 file(s) of kinds that are not supported (nef)"
    ]


def test_folder_problems_come_first(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_labeled_folder(tmp_path / "missing")
    with pytest.raises(DataError, match="holds no images"):
        read_labeled_folder(write(tmp_path, table()))
    with pytest.raises(DataError, match="is a file"):
        read_labeled_folder(tmp_path / "labels.csv")
