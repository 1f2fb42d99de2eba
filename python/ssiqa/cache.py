"""Arrays on disk that are made once and read many times: working images, activations of frozen layers."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
import zlib
from contextlib import suppress
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssiqa.errors import SsiqaError

CACHE_GIB = 16.0
"""Enough for about 18,000 square photos with the default preset, which take 0.94 MB each, activations included."""

logger = logging.getLogger("ssiqa")

_ENTRY = ".ssiqa.npy"
"""How names of entries end: whatever else lies in the folder is not the cache's, and stays."""

SPARE_BYTES = 1 << 30
"""Of the disk, left for what else is written there: a run that decodes its photos into its folder ends in it, too."""

_CHECKSUM_BYTES = 4
_AROUND = 256
"""At least what stands in a file around an array."""
_STALE_SECONDS = 24 * 3600.0
_LATELY_SECONDS = 3600.0


def open_cache(folder: Path, gib: float) -> Cache:
    """A cache of at most ``gib`` GiB, 0 or more.

    Raises:
        SsiqaError: ``gib`` is no such number, or ``folder`` is a file.
    """
    if isinstance(gib, bool) or not isinstance(gib, Real) or not 0 <= gib < float("inf"):
        raise SsiqaError(f"The cache size is {gib!r}; it must be a number of GiB, 0 or more.")
    return Cache(folder, int(gib * (1 << 30)))


# NumPy reads an array's header with Python's parser, which in some versions of Python fails in two threads at once.
_PARSING = threading.Lock()


class Cache:
    """A folder of arrays by key, bounded in size, that any number of runs and processes may share.

    An entry is an ``.npy`` file followed by the CRC-32 of it; it appears under its name whole. Nothing depends on an
    entry being there: one that is missing, damaged or was removed by another process is made again by whoever needs it.

    Attributes:
        folder: Created when the first entry is kept.
        limit: Bytes that the folder may hold; entries that nobody used in the last hour, or since this process began,
            make room, the oldest first. Processes that write at the same time see each other's entries only every 64th
            of the limit, and may exceed it by as much.
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
        self._whole: dict[int, bool] = {}  # what was read, and whether its checksum is right
        self._used: int | None = None  # not known before something is kept
        self._since_look = 0
        self._full = False

    def use(self, key: str) -> bool:
        """Whether there is such an entry, which from now on is not what makes room."""
        try:
            os.utime(self._path(key))
        except FileNotFoundError:
            return False
        except OSError:  # another user's, or on a disk that is read-only: there is such an entry
            return self._path(key).is_file()
        return True

    def get(self, key: str) -> NDArray[Any] | None:
        """The array, read-only and memory-mapped; its checksum is compared when this process reads it first."""
        path, known = self._path(key), int(key, 16)
        try:
            whole = self._whole.get(known)
            if whole is None:
                whole = self._whole[known] = _is_whole(path)
                if not whole:
                    logger.warning("%s is damaged; it is made again.", path)
                    path.unlink(missing_ok=True)
                    self._whole.pop(known, None)  # where it cannot be deleted, it is not read again
            if not whole:
                return None
            with _PARSING:
                array: NDArray[Any] = np.load(path, mmap_mode="r")
        except (OSError, ValueError):  # not there, or no longer, or not to be read
            return None
        self.use(key)
        return array

    def put(self, key: str, array: NDArray[Any]) -> None:
        """Keep the array, if there is room for it."""
        path = self._path(key)
        beside = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.part")
        try:
            if not self._reserve(array.nbytes + _AROUND):
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(path.parent).free < SPARE_BYTES + array.nbytes:
                self._stop(f"leaves less than {SPARE_BYTES >> 30} GiB of its disk")
                return
            with beside.open("wb+") as file:
                np.save(file, array)
                file.seek(0)
                file.write(zlib.crc32(file.read()).to_bytes(_CHECKSUM_BYTES, "little"))
            beside.replace(path)
            self._whole.pop(int(key, 16), None)
        except FileNotFoundError:
            pass  # another process has just removed the folder: as good as an entry that was removed
        except OSError as error:
            self._stop(f"cannot be written ({(error.strerror or type(error).__name__).lower()})")
            with suppress(OSError):
                beside.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete all entries, and the folders that hold nothing else."""
        for path in self.folder.glob(f"*/*{_ENTRY}*"):
            with suppress(OSError):
                path.unlink()
        for folder in (*self.folder.glob("*"), self.folder):
            with suppress(OSError):  # not empty, or a file
                folder.rmdir()

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{_ENTRY}"

    def _reserve(self, size: int) -> bool:
        with self._lock:
            if self._full:
                return False
            if self._used is None or self._since_look > self.limit // 64:
                self._used, self._since_look = sum(bytes_ for _, bytes_, _ in self._entries()), 0
            if self._used + size > self.limit:
                self._used = self._make_room(size)
            fits = self._used + size <= self.limit
            if fits:
                self._used += size
                self._since_look += size
        if not fits and self.limit > 0:
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
        for path in self.folder.glob(f"*/*{_ENTRY}*"):
            with suppress(OSError):  # another process makes room too
                found = path.stat()
                if path.name.endswith(_ENTRY):
                    entries.append((found.st_mtime, found.st_size, path))
                elif path.suffix == ".part" and found.st_mtime < self._opened - _STALE_SECONDS:
                    path.unlink()  # of a process that was killed while it wrote
        return entries

    def _make_room(self, size: int) -> int:
        """Remove what nobody has used lately, the oldest first; the bytes that are left.

        A tenth of the limit at a time, because looking for it takes long.
        """
        entries, lately = sorted(self._entries()), min(self._opened, time.time() - _LATELY_SECONDS)
        left, enough = sum(bytes_ for _, bytes_, _ in entries), min(self.limit - size, self.limit * 9 // 10)
        for used, bytes_, path in entries:
            if used >= lately or left <= enough:
                break
            with suppress(OSError):
                path.unlink(missing_ok=True)
                left -= bytes_
        return left


def _is_whole(path: Path) -> bool:
    data = path.read_bytes()
    stored = data[-_CHECKSUM_BYTES:]
    return zlib.crc32(memoryview(data)[:-_CHECKSUM_BYTES]).to_bytes(_CHECKSUM_BYTES, "little") == stored
