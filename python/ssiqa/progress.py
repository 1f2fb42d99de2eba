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

SECONDS_BETWEEN_LINES = 30.0


def tell(line: str) -> None:
    """Print a line to stderr, above the bar if there is one."""
    tqdm.write(line, file=sys.stderr)


class Task:
    """One stretch of work with a known number of images; use as a context manager.

    On a terminal it is a bar with images/s and the time left. Elsewhere it is a log line now and then with the same
    facts, and one when it ends.
    """

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total = title, total
        self._done = 0
        self._facts = ""
        self._started = self._last_line = time.perf_counter()
        terminal = sys.stderr is not None and sys.stderr.isatty()
        self._bar = tqdm(total=total, desc=title, unit=" img", disable=not terminal)

    def advance(self, count: int, **facts: str | float) -> None:
        """``count`` more images are done; ``facts`` (epoch, loss) are shown beside the progress."""
        self._done += count
        if facts:
            self._facts = ", " + ", ".join(
                f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}"
                for name, value in facts.items()
            )
        if not self._bar.disable:
            self._bar.set_postfix_str(self._facts.removeprefix(", "), refresh=False)
            self._bar.update(count)
        elif time.perf_counter() - self._last_line >= SECONDS_BETWEEN_LINES:
            rate = self._done / (time.perf_counter() - self._started)
            left = (self._total - self._done) / rate
            self._line(f"{self._done} of {self._total} img{self._facts}, {rate:.1f} img/s, {left:.0f} s left")

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
            self._line(f"{self._done} img{self._facts}, {self._done / seconds:.1f} img/s, {seconds:.1f} s in all")

    def _line(self, text: str) -> None:
        self._last_line = time.perf_counter()
        logger.info("%s: %s", self._title, text)
