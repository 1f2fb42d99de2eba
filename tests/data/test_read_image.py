"""Reading photos: all kinds come out as upright RGB bytes."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ssiqa.data import read_image

from .pictures import PROGRESSIVE, encode, scene


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """Puts an EXIF segment with only an orientation behind the start of a JPEG."""
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01" + orientation.to_bytes(2, "big") + b"\0\0"
    exif = b"Exif\0\0" + b"MM\0*\0\0\0\x08" + b"\0\x01" + entry + b"\0\0\0\0"
    return jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]


@pytest.mark.parametrize("extension", [".png", ".bmp", ".tif", ".webp"])
def test_lossless_kinds_are_read_exactly(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"photo{extension}"
    path.write_bytes(encode(extension, scene(), (cv2.IMWRITE_WEBP_QUALITY, 101) if extension == ".webp" else ()))
    image = read_image(path)
    np.testing.assert_array_equal(image, scene())
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous


@pytest.mark.parametrize("parameters", [(), PROGRESSIVE], ids=["baseline", "progressive"])
def test_jpeg_is_read_in_rgb_order(tmp_path: Path, parameters: tuple[int, ...]) -> None:
    path = tmp_path / "photo.JPEG"
    path.write_bytes(encode(".jpg", scene(), parameters))
    assert np.abs(read_image(path).astype(int) - scene()).mean() < 3


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [(1, lambda x: x), (3, lambda x: np.rot90(x, 2)), (6, lambda x: np.rot90(x, -1)), (8, np.rot90)],
)
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, upright: object) -> None:
    plain, turned = tmp_path / "plain.jpg", tmp_path / "turned.jpg"
    jpeg = encode(".jpg", scene())
    plain.write_bytes(jpeg)
    turned.write_bytes(with_orientation(jpeg, orientation))
    assert callable(upright)
    np.testing.assert_array_equal(read_image(turned), upright(read_image(plain)))


def grey() -> NDArray[np.uint8]:
    return scene()[:, :, 0]


@pytest.mark.parametrize(
    ("extension", "pixels", "expected"),
    [
        pytest.param(".png", grey(), np.dstack([grey()] * 3), id="grey"),
        pytest.param(".png", np.dstack([scene(), grey()]), scene(), id="alpha"),
        pytest.param(".png", scene().astype(np.uint16) * 257, scene(), id="16-bit png"),
        pytest.param(".tif", scene().astype(np.uint16) * 257, scene(), id="16-bit tiff"),
        pytest.param(".png", grey().astype(np.uint16) * 257, np.dstack([grey()] * 3), id="16-bit grey"),
    ],
)
def test_every_kind_of_pixel_becomes_rgb_bytes(
    tmp_path: Path, extension: str, pixels: NDArray[np.generic], expected: NDArray[np.uint8]
) -> None:
    path = tmp_path / f"photo{extension}"
    path.write_bytes(encode(extension, pixels))
    np.testing.assert_array_equal(read_image(path), expected)


def test_content_decides_not_the_extension(tmp_path: Path) -> None:
    path = tmp_path / "really-a-png.jpg"
    path.write_bytes(encode(".png", scene()))
    np.testing.assert_array_equal(read_image(path), scene())


def test_unicode_names_are_read(tmp_path: Path) -> None:
    path = tmp_path / "ünïcode 写真 📷.png"
    path.write_bytes(encode(".png", scene()))
    np.testing.assert_array_equal(read_image(str(path)), scene())


def test_one_pixel_is_an_image(tmp_path: Path) -> None:
    path = tmp_path / "dot.png"
    path.write_bytes(encode(".png", np.full((1, 1, 3), 7, np.uint8)))
    assert read_image(path).tolist() == [[[7, 7, 7]]]
