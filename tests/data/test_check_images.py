"""Checking a folder: each photo is decoded once, and the fingerprint knows every byte and label."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from ssiqa.data import CheckResult, ImageError, check_images, read_unlabeled_folder
from ssiqa.errors import DataError

from .pictures import write_image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(8):
        write_image(tmp_path / "photos" / f"{number}.jpg", number)
    return tmp_path / "photos"


def check(folder: Path) -> CheckResult:
    return check_images(folder, read_unlabeled_folder(folder).images, on_error="raise")


def break_image(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def test_all_readable(folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    images = read_unlabeled_folder(folder).images
    result = check_images(folder, images, on_error="raise", progress=lambda done, total: seen.append((done, total)))
    assert result.readable == tuple(images)
    assert result.skipped == {}
    assert seen == [(done, 8) for done in range(1, 9)]


def test_broken_images_are_named_at_once(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    break_image(folder / "5.jpg")
    (folder / "2.jpg").write_bytes(b"")
    with pytest.raises(
        ImageError, match=r"^2 of 8 images .* cannot be read.*2\.jpg is empty.*5\.jpg is truncated"
    ) as two:
        check(folder)
    assert "more" not in str(two.value)
    for number in (0, 7):
        break_image(folder / f"{number}.jpg")
    with pytest.raises(ImageError, match=r"^4 of 8 .*0\.jpg is .*2\.jpg is .*5\.jpg is .* And 1 more\.$") as four:
        check(folder)
    assert "7.jpg" not in str(four.value)
    assert capfd.readouterr().err == ""


def test_only_unlabelled_images_may_be_skipped(folder: Path) -> None:
    break_image(folder / "5.jpg")
    with pytest.raises(ImageError, match="--on-error skip"):
        check(folder)
    with pytest.raises(ImageError, match=r"5\.jpg is truncated") as labeled:
        check_images(folder, read_unlabeled_folder(folder).images, on_error="raise", labels=np.arange(8.0))
    assert "skip" not in str(labeled.value)


def test_broken_images_are_skipped_with_their_reason(folder: Path) -> None:
    without = [image for image in read_unlabeled_folder(folder).images if image != "5.jpg"]
    expected = check_images(folder, without, on_error="raise").fingerprint
    break_image(folder / "5.jpg")
    result = check_images(folder, read_unlabeled_folder(folder).images, on_error="skip")
    assert result.readable == tuple(without)
    assert list(result.skipped) == ["5.jpg"]
    assert "5.jpg is truncated" in result.skipped["5.jpg"]
    assert result.fingerprint == expected


def test_nothing_left_is_an_error(folder: Path) -> None:
    for path in folder.iterdir():
        break_image(path)
    with pytest.raises(DataError, match=r"None of the 8 images .* can be read: .*0\.jpg is truncated"):
        check_images(folder, read_unlabeled_folder(folder).images, on_error="skip")


def test_fingerprint_is_the_same_wherever_the_folder_lies(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert check(copy).fingerprint == check(folder).fingerprint


def test_fingerprint_knows_names_contents_labels_and_groups(folder: Path) -> None:
    images, labels, groups = read_unlabeled_folder(folder).images, np.arange(8.0), np.arange(8)
    plain = check(folder).fingerprint
    labeled = check_images(folder, images, on_error="raise", labels=labels).fingerprint
    relabeled = check_images(folder, images, on_error="raise", labels=labels[::-1]).fingerprint
    grouped = check_images(folder, images, on_error="raise", labels=labels, groups=groups).fingerprint
    (folder / "0.jpg").rename(folder / "00.jpg")
    renamed = check(folder).fingerprint
    write_image(folder / "00.jpg", seed=99)
    changed = check(folder).fingerprint
    assert len({plain, labeled, relabeled, grouped, renamed, changed}) == 6
