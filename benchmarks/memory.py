"""Memory of this process as Linux counts it, in bytes."""

from pathlib import Path

_SELF = Path("/proc/self")


def reset_peak() -> None:
    """Makes `peak` start anew. OSError where Linux does not let a process do so."""
    (_SELF / "clear_refs").write_text("5")


def resident() -> int:
    return _status("VmRSS")


def peak() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    for line in (_SELF / "status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {name}; these benchmarks need Linux.")
