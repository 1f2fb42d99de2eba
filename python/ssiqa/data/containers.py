"""Is an image file whole? Decoders fill the missing part of a truncated file, so its container is read first."""

import re
import struct
import zlib
from collections.abc import Callable, Iterator

_TRUNCATED = "is truncated"
_DAMAGED = "is damaged"
_NOT_AN_IMAGE = "is not a JPEG, PNG, WebP, BMP or TIFF image"

# Inside JPEG pixel data 0xFF is followed by 0x00 (a literal 0xFF), a restart marker or padding; all else is a marker.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JPEG_END = 0xD9
_JPEG_SCAN = 0xDA

# How wide the values of a TIFF field are, by its type; all others are bytes.
_TIFF_TYPES = {3: "H", 4: "I", 5: "Q", 8: "H", 9: "I", 10: "Q", 11: "I", 12: "Q", 13: "I"}
# Tags of the offsets and sizes of the pixel data: in strips, in tiles.
_TIFF_PIXELS = ((273, 279), (324, 325))


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
    return _TRUNCATED if len(data) < max(14, int.from_bytes(data[2:6], "little")) else None


def _tiff_problem(data: bytes) -> str | None:
    """Checks that the file holds all that its first directory points at: tables, such as a palette, and pixels."""
    try:
        fields = dict(_tiff_fields(data, "<" if data.startswith(b"II") else ">"))
    except struct.error:
        return _TRUNCATED
    for offsets, sizes in _TIFF_PIXELS:
        ends = map(sum, zip(fields.get(offsets, ()), fields.get(sizes, ()), strict=False))
        if max(ends, default=0) > len(data):
            return _TRUNCATED
    return None


def _tiff_fields(data: bytes, order: str) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yields tag and values of each field of the first directory; `struct.error` where the file ends too early."""
    (directory,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, directory)
    for position in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind, length = struct.unpack_from(order + "HHI", data, position)
        layout = f"{order}{length}{_TIFF_TYPES.get(kind, 'B')}"
        value = position + 8
        if struct.calcsize(layout) > 4:  # too long for the field, which then holds the offset
            (value,) = struct.unpack_from(order + "I", data, value)
        yield tag, struct.unpack_from(layout, data, value)


def _uint32(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 4], "big")


_FORMATS: tuple[tuple[re.Pattern[bytes], Callable[[bytes], str | None]], ...] = (
    (re.compile(rb"\xff\xd8\xff"), _jpeg_problem),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), _png_problem),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), _webp_problem),
    (re.compile(rb"BM"), _bmp_problem),
    (re.compile(rb"II\*\0|MM\0\*"), _tiff_problem),
)
