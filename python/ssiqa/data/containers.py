"""Is an image file whole? Decoders fill the missing part of a truncated file, so its container is read first."""

import re
import zlib
from collections.abc import Callable

_TRUNCATED = "is truncated"
_DAMAGED = "is damaged"
_NOT_AN_IMAGE = "is not a JPEG, PNG, WebP, BMP or TIFF image"

# Inside JPEG pixel data 0xFF is followed by 0x00 (a literal 0xFF), a restart marker or padding; all else is a marker.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JPEG_END = 0xD9
_JPEG_SCAN = 0xDA


def container_problem(data: bytes) -> str | None:
    """Says what is wrong with an encoded image as far as its container tells, or None if it is whole.

    The format is taken from the first bytes, never from a file name. Bytes after the end of the image are accepted.
    """
    if not data:
        return "is empty"
    for signature, problem in _FORMATS:
        if signature.match(data):
            return problem(data)
    return _NOT_AN_IMAGE


def _jpeg_problem(data: bytes) -> str | None:
    """Walks segment by segment: an end marker inside a thumbnail or a comment must not count."""
    position, scanned = 2, False
    while marker := _JPEG_MARKER.search(data, position):
        code, position = data[marker.start() + 1], marker.end()
        if code == _JPEG_END:
            return None if scanned else _DAMAGED
        length = int.from_bytes(data[position : position + 2], "big")
        if len(data) < position + max(length, 2):
            return _TRUNCATED
        if length < 2:
            return _DAMAGED
        scanned |= code == _JPEG_SCAN
        position += length
    return _TRUNCATED


def _png_problem(data: bytes) -> str | None:
    position = 8
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        end = position + 12 + length
        if end > len(data):
            return _TRUNCATED
        kind = data[position + 4 : position + 8]
        # As in libpng, a wrong checksum matters only in critical chunks, whose names begin with a capital letter.
        if kind[:1].isupper() and zlib.crc32(memoryview(data)[position + 4 : end - 4]) != _uint32(data, end - 4):
            return _DAMAGED
        if kind == b"IEND":
            return None
        position = end
    return _TRUNCATED


def _webp_problem(data: bytes) -> str | None:
    return _TRUNCATED if len(data) < 8 + int.from_bytes(data[4:8], "little") else None


def _bmp_problem(data: bytes) -> str | None:
    return _TRUNCATED if len(data) < int.from_bytes(data[2:6], "little") else None


def _tiff_problem(data: bytes) -> str | None:
    """Checks the offset of the first directory only: OpenCV itself refuses missing strips."""
    directory = int.from_bytes(data[4:8], "little" if data.startswith(b"II") else "big")
    return _TRUNCATED if len(data) < max(8, directory + 2) else None


def _uint32(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 4], "big")


_FORMATS: tuple[tuple[re.Pattern[bytes], Callable[[bytes], str | None]], ...] = (
    (re.compile(rb"\xff\xd8\xff"), _jpeg_problem),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), _png_problem),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), _webp_problem),
    (re.compile(rb"BM"), _bmp_problem),
    (re.compile(rb"II\*\0|MM\0\*"), _tiff_problem),
)
