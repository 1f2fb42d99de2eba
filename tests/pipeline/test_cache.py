"""The cache: whole entries or none, bounded, and never needed."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ssiqa.cache import SPARE_BYTES, Cache, open_cache
from ssiqa.errors import SsiqaError

KIB = 1024


def entry(number: int, size: int = 100 * KIB) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, size, dtype=np.uint8)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_gives_back_what_it_took(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 1 << 20)
    arrays = {
        "aa1": entry(0).reshape(20, 256, 20),
        "aa2": np.float32([[1.5, np.nan]]),
        "bb1": np.zeros((0, 3), np.uint8),
    }
    for key, array in arrays.items():
        assert not cache.use(key)
        assert cache.get(key) is None
        cache.put(key, array)
    for key, array in arrays.items():
        found = Cache(tmp_path, 1 << 20).get(key)
        assert cache.use(key)
        assert found is not None
        assert not found.flags.writeable
        assert np.array_equal(found, array, equal_nan=found.dtype == np.float32)
        assert found.dtype == array.dtype


@pytest.mark.parametrize("damage", ["a pixel", "the header", "the end", "everything"])
def test_a_damaged_entry_is_said_and_gone(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    Cache(tmp_path, 1 << 20).put("aa", entry(0))
    (path,) = files(tmp_path)
    data = bytearray(path.read_bytes())
    if damage == "the end":
        del data[-1000:]
    elif damage == "everything":
        data.clear()
    else:
        data[1000 if damage == "a pixel" else 60] ^= 1
    path.write_bytes(data)
    cache = Cache(tmp_path, 1 << 20)
    assert cache.get("aa") is None
    assert "is damaged" in caplog.text
    assert files(tmp_path) == []
    cache.put("aa", entry(0))
    assert np.array_equal(cache.get("aa"), entry(0))


def test_never_grows_beyond_its_limit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = Cache(tmp_path, 350 * KIB)
    for number in range(6):
        cache.put(f"{number:02}", entry(number))
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 350 * KIB
    assert [cache.use(f"{number:02}") for number in range(6)] == [True] * 3 + [False] * 3
    assert caplog.text.count("is full") == 1


def test_what_nobody_uses_makes_room(tmp_path: Path) -> None:
    for number in range(3):
        Cache(tmp_path, 1 << 20).put(f"{number:02}", entry(number))
        os.utime(tmp_path / f"{number:02}" / f"{number:02}.ssiqa.npy", (1000 + number, 1000 + number))
    cache = Cache(tmp_path, 350 * KIB)
    assert cache.get("00") is not None  # in use from now on, although it was the oldest
    cache.put("03", entry(3))
    assert [cache.use(f"{number:02}") for number in range(4)] == [True, False, True, True]


def test_nothing_is_kept_in_no_room(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 0)
    cache.put("aa", entry(0))
    assert cache.get("aa") is None
    assert not (tmp_path / "cache").exists()


def test_a_disk_that_cannot_be_written_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    cache = Cache(tmp_path, 1 << 20)
    monkeypatch.setattr(np, "save", full)
    cache.put("aa", entry(0))
    cache.put("bb", entry(1))
    assert caplog.text.count("no space left") == 1
    assert files(tmp_path) == []


def test_the_disk_is_never_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What a run must write at its end has room on it."""
    monkeypatch.setattr("ssiqa.cache.SPARE_BYTES", SPARE_BYTES)
    cache, free = Cache(tmp_path, 1 << 20), [SPARE_BYTES + 4 * entry(0).nbytes, SPARE_BYTES]
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=free.pop(0)))
    for key in ("aa", "bb", "cc"):
        cache.put(key, entry(0))
    assert [cache.get(key) is not None for key in ("aa", "bb", "cc")] == [True, False, False]
    assert caplog.text.count("leaves less than 1 GiB of its disk") == 1


def test_a_folder_that_another_process_removes_is_no_reason_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    cache = Cache(tmp_path, 1 << 20)
    with monkeypatch.context() as patched:
        patched.setattr(np, "save", gone)
        cache.put("aa", entry(0))
    cache.put("bb", entry(1))
    assert cache.get("aa") is None
    assert cache.get("bb") is not None
    assert caplog.text == ""


def test_half_written_files_of_the_dead_are_swept(tmp_path: Path) -> None:
    shelf = tmp_path / "aa"
    shelf.mkdir()
    for name, age in (("old", 1e6), ("new", 0)):
        part = shelf / f"{name}.ssiqa.npy.1.2.part"
        part.write_bytes(b"half")
        now = part.stat().st_mtime
        os.utime(part, (now - age, now - age))
    Cache(tmp_path, 1 << 20).put("aa", entry(0))
    assert [path.name for path in files(tmp_path)] == ["aa.ssiqa.npy", "new.ssiqa.npy.1.2.part"]


def test_what_else_lies_in_the_folder_stays(tmp_path: Path) -> None:
    """A user may name a folder that holds other arrays, old ones, in folders like the cache's own."""
    others = [tmp_path / "aa/aa.npy", tmp_path / "features/one.npy", tmp_path / "features/two.part", tmp_path / "note"]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine" * KIB)
        os.utime(path, (0, 0))
    for number in range(4):
        Cache(tmp_path, 210 * KIB).put(f"{number:02}", entry(number))
        for path in files(tmp_path):  # so that the next needs its room
            os.utime(path, (0, 0))
    assert len(files(tmp_path)) == len(others) + 2
    Cache(tmp_path, 0).remove()
    assert files(tmp_path) == sorted(others)
    assert not (tmp_path / "00").exists()


def test_shared_by_many(tmp_path: Path) -> None:
    """Several caches on one folder, each used by several threads, while entries are removed under their hands."""
    caches = [Cache(tmp_path, 1 << 30) for _ in range(3)]

    def use(number: int) -> bool:
        cache, key = caches[number % 3], f"{number % 7:02}"
        if number % 11 == 0:
            (tmp_path / key / f"{key}.ssiqa.npy").unlink(missing_ok=True)
        found = cache.get(key)
        if found is None:
            cache.put(key, entry(number % 7))
            return True
        return bool(np.array_equal(found, entry(number % 7)))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(use, range(300)))


def test_remove(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 1 << 20)
    cache.remove()
    cache.put("aa", entry(0))
    cache.remove()
    assert not (tmp_path / "cache").exists()


def test_bad_arguments_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    (tmp_path / "file").touch()
    with pytest.raises(SsiqaError, match="is a file; give a folder for the cache"):
        open_cache(tmp_path / "file", 1)
    for size in (-1, float("nan"), float("inf"), "1", True):
        with pytest.raises(SsiqaError, match=r"The cache size is .*; it must be a number of GiB, 0 or more"):
            open_cache(tmp_path, size)  # type: ignore[arg-type]


def test_a_cache_that_cannot_be_written_is_still_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    Cache(tmp_path, 1 << 20).put("aa", entry(0))
    for name in ("utime", "mkdir", "replace", "unlink"):
        monkeypatch.setattr(os, name, forbidden)
    cache = Cache(tmp_path, 1 << 20)
    assert cache.use("aa")
    assert np.array_equal(cache.get("aa"), entry(0))
    cache.put("bb", entry(1))
    assert cache.get("bb") is None


WRITER = """
import sys
import numpy as np
from pathlib import Path
from ssiqa.cache import Cache
cache = Cache(Path(sys.argv[1]), 4 << 20)
for number in range(60):
    cache.put(f"{sys.argv[2]}{number:02}", np.full(100 << 10, number, np.uint8))
"""


def test_processes_that_share_a_cache_keep_its_limit(tmp_path: Path) -> None:
    """But for what each writes between two looks at the others, a 64th of the limit."""
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, str(number)]) for number in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    held = sum(path.stat().st_size for path in files(tmp_path))
    assert (3 << 20) < held <= (4 << 20) + 4 * ((4 << 20) // 64 + 200 * KIB)
