"""Photos on disk: finding them, and reading them without ever accepting half a photo."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssiqa.data.containers import container_problem
from ssiqa.errors import DataError

IMAGE_EXTENSIONS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff"})
UNSUPPORTED_EXTENSIONS = frozenset(
    {".heic", ".heif", ".avif", ".gif", ".jp2", ".jxl", ".tga", ".ppm", ".pgm", ".exr", ".psd"}
    | {".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2"}  # of cameras
)
"""Photos too, but of kinds that are not read here; leaving them out must be said."""


class Photo(NamedTuple):
    """An image file and the SHA-256 of its content."""

    path: Path
    digest: bytes


class ImageError(DataError):
    """An image file is missing, empty, truncated or not an image."""


def find_photos(root: Path) -> tuple[list[str], list[str]]:
    """Lists the image files of a folder at any depth, and beside them the photos of kinds that are not supported.

    Hidden files and folders are left out. Links are followed, but never into a folder that is being walked already.

    Returns:
        Paths relative to `root`, with `/` on every system, sorted: the images, and the unsupported ones.

    Raises:
        DataError: `root` or a folder below it is missing, is not a folder or cannot be opened.
    """
    found = sorted(_walk(root, "", frozenset()))
    images = [name for name in found if _kind(name) in IMAGE_EXTENSIONS]
    return images, [name for name in found if _kind(name) in UNSUPPORTED_EXTENSIONS]


def read_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Reads a photo as (height, width, 3) RGB, turned upright by its EXIF orientation.

    Grey images get three equal channels, alpha is dropped, 16 bits become 8.

    Raises:
        ImageError: The file is missing, empty, truncated or not an image.
    """
    return decode_image(read_bytes(path), os.fspath(path))


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Reads a file whole.

    Raises:
        ImageError: The file is missing or cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ImageError(f"{os.fspath(path)} cannot be read ({reason}): restore it or remove it.") from error


def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decodes the bytes of an image file, as `read_image` does; `name` is for the error message.

    Raises:
        ImageError: The bytes are empty, truncated or not an image.
    """
    import cv2  # here, so that importing ssiqa stays quick

    if problem := container_problem(data):
        raise ImageError(f"{name} {problem}: replace it or remove it.")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:  # for example more pixels than OpenCV allows
        image = None
    if image is None:
        raise ImageError(f"{name} cannot be decoded: it is damaged or of an unusual kind; convert it or remove it.")
    return np.ascontiguousarray(image, dtype=np.uint8)


class _Quiet:
    """How many want OpenCV quiet, and the level of its log while nobody does."""

    lock = threading.Lock()
    count = 0
    usual = 0


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keeps OpenCV's own log off stderr, where the reason is reported by an `ImageError` anyway.

    The level belongs to the process: enter this around the work of all threads. Where several do, each for work of
    its own, the last one out restores the level.
    """
    import cv2

    log = cv2.utils.logging
    with _Quiet.lock:
        if _Quiet.count == 0:
            _Quiet.usual = log.getLogLevel()
            log.setLogLevel(log.LOG_LEVEL_SILENT)
        _Quiet.count += 1
    try:
        yield
    finally:
        with _Quiet.lock:
            _Quiet.count -= 1
            if _Quiet.count == 0:
                log.setLogLevel(_Quiet.usual)


def _walk(folder: Path, prefix: str, above: frozenset[str]) -> Iterator[str]:
    """Yields the photos below `folder`; `above` holds the real paths of the folders on the way here."""
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise DataError(f"{folder} cannot be opened as a folder ({reason}): check the path.") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        linked = entry.is_symlink()
        if (folder / entry.name).is_dir() if linked else entry.is_dir():
            yield from _walk(folder / entry.name, f"{prefix}{entry.name}/", above | {real})
        elif _kind(entry.name) in IMAGE_EXTENSIONS | UNSUPPORTED_EXTENSIONS and (linked or entry.is_file()):
            yield prefix + entry.name  # a dangling link too: reading it must fail, not pass unnoticed


def _kind(name: str) -> str:
    return Path(name).suffix.lower()
