"""The memory that is left, as the system and its control groups tell."""

import os
from pathlib import Path

import pytest

from ssiqa import memory

MACHINE = 8 << 30


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "CONTROL_GROUPS", tmp_path / "cgroup")
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text(f"MemTotal: 99999999 kB\nMemAvailable: {MACHINE // 1024} kB\n")
    return tmp_path


def group(folder: Path, names: tuple[str, str, str], limit: str, used: int, cached: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(limit + "\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {cached}\n")


V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
V2 = ("memory.max", "memory.current", "inactive_file")


def test_the_machine_alone(system: Path) -> None:
    assert memory.available_memory() == MACHINE
    (system / "proc" / "self" / "cgroup").write_text("4:cpu:/\n0::/\n")
    assert memory.available_memory() == MACHINE


def test_a_limit_of_an_outer_group(system: Path) -> None:
    (system / "proc" / "self" / "cgroup").write_text("0::/outer/inner\n")
    group(system / "cgroup" / "outer", V2, str(3 << 30), 2 << 30, 1 << 29)
    group(system / "cgroup" / "outer" / "inner", V2, "max", 2 << 30, 0)
    assert memory.available_memory() == 3 << 29
    group(system / "cgroup" / "outer", V2, str(64 << 30), 2 << 30, 0)
    assert memory.available_memory() == MACHINE


def test_the_older_version(system: Path) -> None:
    (system / "proc" / "self" / "cgroup").write_text("8:pids:/a\n4:cpu,memory:/elsewhere\n")
    group(system / "cgroup" / "memory", V1, str(3 << 30), 2 << 30, 0)
    assert memory.available_memory() == 1 << 30
    group(system / "cgroup" / "memory", V1, str(1 << 30), 2 << 30, 0)
    assert memory.available_memory() == 0


def test_a_system_that_tells_nothing(system: Path) -> None:
    (system / "proc" / "meminfo").unlink()
    assert memory.available_memory() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
