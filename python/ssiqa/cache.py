"""Arrays on disk that are made once and read many times: working images, activations of frozen layers."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssiqa.errors import SsiqaError

CACHE_GIB = 16.0
"""Enough for about 18,000 photos with the default preset, activations included."""

logger = logging.getLogger("ssiqa")

_CHECKSUM_BYTES = 4
_AROUND = 256
"""At least what stands in a file around an array."""
_STALE_SECONDS = 24 * 3600.0


def open_cache(folder: Path, gib: float) -> Cache:
    """A cache of at most ``gib`` GiB, 0 or more.

    Raises:
        SsiqaError: ``gib`` is no such number, or ``folder`` is a file.
    """
    if isinstance(gib, bool) or not isinstance(gib, int | float) or not 0 <= gib < float("inf"):
        raise SsiqaError(f"cache_size is {gib!r}; it must be a number of GiB, 0 or more.")
    return Cache(folder, int(gib * (1 << 30)))


class Cache:
    """A folder of arrays by key, bounded in size, that any number of runs and processes may share.

    An entry is a ``.npy`` file followed by the CRC-32 of it; it appears under its name whole. Nothing depends on an
    entry being there: one that is missing, damaged or was removed by another process is made again by whoever needs it.

    Attributes:
        folder: Created when the first entry is kept.
        limit: Bytes that the folder may hold; entries that this process did not use make room, the oldest first.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        """
        Raises:
            SsiqaError: ``folder`` is a file.
        """
        if folder.exists() and not folder.is_dir():
            raise SsiqaError(f"{folder} is a file; give a folder for the cache.")
        self.folder, self.limit = folder, limit
        self._lock = threading.Lock()
        self._opened = time.time()
        self._checked: set[str] = set()
        self._used: int | None = None  # not known before something is kept
        self._full = False

    def __contains__(self, key: str) -> bool:
        return self._path(key).is_file()

    def get(self, key: str) -> NDArray[Any] | None:
        """The array, read-only and memory-mapped; its checksum is compared when this process reads it first."""
        path = self._path(key)
        try:
            if key not in self._checked:
                if not _is_whole(path):
                    logger.warning("%s is damaged; it is made again.", path)
                    path.unlink()
                    return None
                os.utime(path)  # now in use, so that it is not what makes room
                self._checked.add(key)
            array: NDArray[Any] = np.load(path, mmap_mode="r")
        except FileNotFoundError:
            return None
        return array

    def put(self, key: str, array: NDArray[Any]) -> None:
        """Keep the array, if there is room for it."""
        path, size = self._path(key), array.nbytes + _AROUND
        if not self._reserve(size):
            return
        beside = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb+") as file:
                np.save(file, array)
                file.seek(0)
                file.write(zlib.crc32(file.read()).to_bytes(_CHECKSUM_BYTES, "little"))
            beside.replace(path)
        except OSError as error:
            self._stop(f"cannot be written ({(error.strerror or type(error).__name__).lower()})")
            beside.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the folder and all it holds."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.npy"

    def _reserve(self, size: int) -> bool:
        with self._lock:
            if self._full:
                return False
            if self._used is None:
                self._used = sum(bytes_ for _, bytes_, _ in self._entries())
            if self._used + size > self.limit:
                self._used = self._make_room(size)
            fits = self._used + size <= self.limit
            if fits:
                self._used += size
        if not fits:
            self._stop(f"is full with {self.limit / (1 << 30):.3g} GiB")
        return fits

    def _stop(self, why: str) -> None:
        """Keep nothing more, and say so once."""
        with self._lock:
            stopped, self._full = self._full, True
        if not stopped:
            logger.warning(
                "The cache %s %s: what it does not hold is made each time it is needed, which is slower.",
                self.folder,
                why,
            )

    def _entries(self) -> list[tuple[float, int, Path]]:
        """Time of the last use, bytes and place of each entry, whichever process made it."""
        entries = []
        for path in self.folder.glob("*/*"):
            with suppress(FileNotFoundError):  # another process makes room too
                found = path.stat()
                if path.suffix == ".npy":
                    entries.append((found.st_mtime, found.st_size, path))
                elif path.suffix == ".part" and found.st_mtime < self._opened - _STALE_SECONDS:
                    path.unlink()  # of a process that was killed while it wrote
        return entries

    def _make_room(self, size: int) -> int:
        """Remove what nobody has used since this process began, the oldest first; the bytes that are left.

        A tenth of the limit at a time, because looking for it takes long.
        """
        entries = sorted(self._entries())
        left, enough = sum(bytes_ for _, bytes_, _ in entries), min(self.limit - size, self.limit * 9 // 10)
        for used, bytes_, path in entries:
            if used >= self._opened or left <= enough:
                break
            path.unlink(missing_ok=True)
            left -= bytes_
        return left


def _is_whole(path: Path) -> bool:
    data = path.read_bytes()
    stored = data[-_CHECKSUM_BYTES:]
    return zlib.crc32(memoryview(data)[:-_CHECKSUM_BYTES]).to_bytes(_CHECKSUM_BYTES, "little") == stored
