"""How much memory this process may still take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
CONTROL_GROUPS = Path("/sys/fs/cgroup")


def available_memory() -> int:
    """Bytes that are free or can be freed: the machine's, or less where a control group (a container) has a limit.

    Where the system tells neither, it is all the memory that the machine has.

    Example:
        >>> available_memory() > 0
        True
    """
    return max(0, min(_machine(), *_control_groups(), 1 << 62))


def _machine() -> int:
    try:
        lines = (PROC / "meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _control_groups() -> Iterator[int]:
    """What is left in the process's groups and in those that hold them, of either version."""
    try:
        lines = (PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        inside = path.lstrip("/")
        if not controllers:
            root, limit, usage, cache = CONTROL_GROUPS, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root = CONTROL_GROUPS / "memory"
            limit, usage, cache = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        for group in (root / inside, *(root / inside).parents):
            if group.is_relative_to(root):
                yield from _left(group, limit, usage, cache)


def _left(group: Path, limit: str, usage: str, cache: str) -> Iterator[int]:
    try:
        most, used = (group / limit).read_text().strip(), int((group / usage).read_text())
        statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return  # a controller that is not switched on here, or a group of another namespace
    if most != "max":
        yield int(most) - used + int(statistics.get(cache, 0))  # cached files give way
