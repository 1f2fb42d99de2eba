"""Progress for people: a bar on a terminal, log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

logger = logging.getLogger("ssiqa")


class Task:
    """One stretch of work with a known length; use as a context manager.

    On a terminal it is a bar with images/s and the time left, otherwise one log line when it ends.
    """

    def __init__(self, title: str, total: int, unit: str = "img") -> None:
        self._title, self._unit = title, unit
        self._done = 0
        self._facts = ""
        self._started = time.perf_counter()
        self._bar = tqdm(
            total=total, desc=title, unit=f" {unit}", file=sys.stderr, disable=not sys.stderr.isatty(), leave=True
        )

    def advance(self, count: int, **facts: str | float) -> None:
        """``count`` more images are done; ``facts`` (epoch, loss) are shown beside the bar."""
        self._done += count
        if facts:
            self._facts = ", ".join(
                f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}"
                for name, value in facts.items()
            )
            self._bar.set_postfix_str(self._facts, refresh=False)
        self._bar.update(count)

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """``items`` one by one, each counted when the next is asked for."""
        for item in items:
            yield item
            self.advance(1)

    def __enter__(self) -> Task:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        if self._bar.disable and error is None:
            seconds = max(time.perf_counter() - self._started, 1e-9)
            rate = f"{self._done} {self._unit} in {seconds:.1f} s ({self._done / seconds:.1f} {self._unit}/s)"
            logger.info("%s: %s", self._title, ", ".join(filter(None, (rate, self._facts))))
