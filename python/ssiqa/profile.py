"""Where the time of a run goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ssiqa.lanes import share

NETWORK = ("forward", "backward", "optimiser", "scoring")
"""``scoring`` is the forward passes of the exported scorers on A's hold-out."""


_local = threading.local()
"""Of each thread: the seconds of stages within the one that is open."""


class Profile:
    """Seconds and images of each stage; hand it to :func:`ssiqa.adapt` and print it afterwards.

    A second of one of n lanes counts as 1/n, so that the stages and ``other`` (waiting for the last lane, reading
    folders, loading the network, the interpreter) add up to the time that passed; where lanes work on while the main
    thread computes, as beside the regression or a GPU, both count.

    Example:
        >>> profile = Profile()
        >>> with profile.stage("decode", images=1):
        ...     pass
        >>> [stage.split()[0] for stage in str(profile).splitlines()[1:]]
        ['decode', 'other', 'network']
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = time.perf_counter()
        self._seconds: dict[str, float] = {}
        self._images: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str, images: int = 0, device: torch.device | None = None) -> Iterator[None]:
        """Count what happens inside as ``name``, but for stages within it.

        Args:
            name: Of the stage.
            images: That it works on.
            device: If it is a GPU, what was handed over to it is waited for, so that it counts here.
        """
        outer, _local.inside = getattr(_local, "inside", 0.0), 0.0
        started = time.perf_counter()
        try:
            yield
            if device is not None and device.type == "cuda":
                torch.cuda.synchronize(device)
        finally:
            passed = time.perf_counter() - started
            seconds = (passed - _local.inside) * share()
            _local.inside = outer + passed
            with self._lock:
                self._seconds[name] = self._seconds.get(name, 0.0) + seconds
                self._images[name] = self._images.get(name, 0) + images

    def to_dict(self) -> dict[str, dict[str, float]]:
        """``{stage: {seconds, share, images}}``, ``other`` last."""
        total = time.perf_counter() - self._started
        seconds = {**self._seconds, "other": max(0.0, total - sum(self._seconds.values()))}
        return {
            name: {"seconds": spent, "share": spent / max(total, 1e-9), "images": float(self._images.get(name, 0))}
            for name, spent in seconds.items()
        }

    def outside_network(self) -> float:
        """Share (0..1) of the time in which no network is computed."""
        return sum(stage["share"] for name, stage in self.to_dict().items() if name not in NETWORK)

    def __str__(self) -> str:
        lines = [f"{'stage':<12} {'seconds':>9} {'share':>7} {'images/s':>9}"]
        for name, stage in self.to_dict().items():
            rate = f"{stage['images'] / stage['seconds']:.1f}" if stage["images"] and stage["seconds"] else ""
            lines.append(f"{name:<12} {stage['seconds']:>9.1f} {stage['share']:>7.1%} {rate:>9}".rstrip())
        lines.append(f"network {'':<14} {1 - self.outside_network():>7.1%}")
        return "\n".join(lines)
