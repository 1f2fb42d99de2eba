"""Broken photos: each is refused with a sentence that names it, none is read in part."""

import io
import zlib
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ssiqa.data import ImageError, decode_image, read_image
from ssiqa.data.containers import container_problem
from ssiqa.errors import SsiqaError

from .pictures import PROGRESSIVE, encode, scene

PICTURE = scene(96, 128)
SIGNATURES = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x04\0\0\0WEBP", b"BM", b"II*\0", b""]
THUMBNAIL = encode(".jpg", scene(16, 16))


def jpeg_with_thumbnail() -> bytes:
    """A JPEG with a whole JPEG, end marker and all, in an application segment."""
    jpeg, payload = encode(".jpg", PICTURE), b"Exif\0\0" + THUMBNAIL
    return jpeg[:2] + b"\xff\xe1" + (len(payload) + 2).to_bytes(2, "big") + payload + jpeg[2:]


def palette_tiff() -> bytes:
    """Its palette lies behind the pixels; a decoder that misses it shows grey ones instead."""
    file = io.BytesIO()
    Image.fromarray(PICTURE).convert("P").save(file, "TIFF", compression="tiff_lzw")
    return file.getvalue()


WHOLE = {
    "baseline jpeg": encode(".jpg", PICTURE),
    "progressive jpeg": encode(".jpg", PICTURE, PROGRESSIVE),
    "jpeg with restarts": encode(".jpg", PICTURE, (cv2.IMWRITE_JPEG_RST_INTERVAL, 4)),
    "jpeg with thumbnail": jpeg_with_thumbnail(),
    "png": encode(".png", PICTURE),
    "webp": encode(".webp", PICTURE, (cv2.IMWRITE_WEBP_QUALITY, 80)),
    "bmp": encode(".bmp", PICTURE),
    "tiff": encode(".tif", PICTURE, (cv2.IMWRITE_TIFF_COMPRESSION, 1)),
    "lzw tiff": encode(".tif", PICTURE, (cv2.IMWRITE_TIFF_COMPRESSION, 5)),
    "palette tiff": palette_tiff(),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_image_is_read_even_with_bytes_behind_it(kind: str) -> None:
    image = decode_image(WHOLE[kind], kind)
    assert image.shape == PICTURE.shape
    np.testing.assert_array_equal(decode_image(WHOLE[kind] + b"camera notes", kind), image)


@pytest.mark.parametrize("kind", WHOLE)
def test_truncated_image_is_refused_wherever_it_ends(kind: str) -> None:
    data = WHOLE[kind]
    lengths = {*range(1, 64), *range(64, len(data) - 64, max(1, len(data) // 150)), *range(len(data) - 64, len(data))}
    for length in sorted(lengths):
        with pytest.raises(ImageError, match=r"cut\.jpg .+(replace|convert) it or remove it\.$"):
            decode_image(data[:length], "cut.jpg")


@pytest.mark.parametrize("kind", WHOLE)
def test_container_alone_notices_truncation(kind: str) -> None:
    """Some releases of OpenCV fill what is missing, so the check must not rely on the decoder."""
    data = WHOLE[kind]
    assert container_problem(data) is None
    assert all(container_problem(data[:length]) is not None for length in range(len(data)))


@pytest.mark.parametrize("kind", ["baseline jpeg", "progressive jpeg", "png"])
def test_file_filled_up_with_zeros_is_refused(kind: str) -> None:
    """What a download leaves that reserved its space first."""
    data = WHOLE[kind]
    with pytest.raises(ImageError):
        decode_image(data[: len(data) // 2].ljust(len(data), b"\0"), "zeros.jpg")


def test_png_with_a_changed_byte_is_refused() -> None:
    data = bytearray(WHOLE["png"])
    data[len(data) // 2] ^= 1
    with pytest.raises(ImageError, match=r"changed\.png is damaged"):
        decode_image(bytes(data), "changed.png")


def test_png_with_too_many_pixels_is_refused() -> None:
    """A bomb: a header of 2^31 x 2^31 pixels, whose checksum is right."""
    header = b"IHDR" + (2**31 - 1).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    data = WHOLE["png"][:12] + header + zlib.crc32(header).to_bytes(4, "big") + WHOLE["png"][33:]
    with pytest.raises(ImageError, match="cannot be decoded"):
        decode_image(data, "bomb.png")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"only text", "is not a JPEG, PNG, WebP, BMP or TIFF image"),
        (b"GIF89a" + bytes(100), "is not a JPEG"),
        (b"\xff\xd8\xff\xd9", "is damaged"),
    ],
)
def test_what_is_no_image_is_named(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "notes.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=problem) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, SsiqaError)


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.jpg cannot be read \(no such file"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(ImageError, match="is a directory"):
        read_image(tmp_path)


@given(st.sampled_from(SIGNATURES), st.binary())
def test_any_bytes_are_an_image_or_an_image_error(signature: bytes, rest: bytes) -> None:
    with suppress(ImageError):
        assert decode_image(signature + rest, "noise").shape[2] == 3
