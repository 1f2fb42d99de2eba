"""Finding photos in folders."""

from pathlib import Path

import pytest

from ssiqa.data import read_unlabeled_folder
from ssiqa.data.images import find_photos
from ssiqa.errors import DataError

from .pictures import write_image


def test_images_at_any_depth_are_found_sorted(tmp_path: Path) -> None:
    for name in ["b.png", "a.JPG", "deep/er/c.TiFf", "deep/d.webp", "ü/写真.bmp", "Z.jpeg", "e.tif"]:
        write_image(tmp_path / name)
    for name in ["labels.csv", "notes.txt", "e.gif", ".hidden.png", ".cache/f.png"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    found = ["Z.jpeg", "a.JPG", "b.png", "deep/d.webp", "deep/er/c.TiFf", "e.tif", "ü/写真.bmp"]
    assert find_photos(tmp_path)[0] == found
    assert read_unlabeled_folder(str(tmp_path)).images == tuple(found)


def test_photos_of_unsupported_kinds_are_left_out_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ["a.heic", "deep/b.HEIC", "deep/c.gif", ".hidden.gif", "d.txt"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(
        DataError, match=r"holds no images but 3 file\(s\) of kinds that are not supported \(gif heic\): convert"
    ):
        read_unlabeled_folder(tmp_path)
    assert not caplog.records
    write_image(tmp_path / "e.png")
    assert read_unlabeled_folder(tmp_path).images == ("e.png",)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("ssiqa", "WARNING")
    assert record.getMessage().startswith(
        f"Left out of {tmp_path}: 3 file(s) of kinds that are not supported (gif heic)"
    )


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    write_image(root / "a.png")
    write_image(elsewhere / "b.png")
    (root / "c.png").symlink_to(elsewhere / "b.png")
    (root / "linked").symlink_to(elsewhere)
    (root / "circle").symlink_to(root)
    (elsewhere / "back").symlink_to(root)
    (root / "self.png").symlink_to("self.png")
    assert find_photos(root)[0] == ["a.png", "c.png", "linked/b.png", "self.png"]


def test_dangling_link_is_listed_so_that_it_cannot_pass_unnoticed(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert find_photos(tmp_path)[0] == ["gone.png"]


def test_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"The folder .*missing does not exist"):
        read_unlabeled_folder(tmp_path / "missing")
    with pytest.raises(DataError, match="holds no images: put files of the kinds bmp jfif jpe jpeg jpg png"):
        read_unlabeled_folder(tmp_path)
    write_image(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png is a file: give the folder"):
        read_unlabeled_folder(tmp_path / "a.png")
    with pytest.raises(DataError, match="cannot be opened as a folder"):
        find_photos(tmp_path / "missing")
