"""A file of scores that grows while they are made, so that an interruption costs none of them."""

from __future__ import annotations

import csv
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from ssiqa.errors import SsiqaError
from ssiqa.files import to_json

KINDS = (".csv", ".json")


class ScoreFile:
    """Rows on their way into a ``.csv`` or ``.json`` file; use as a context manager.

    The file is there from the start. Each row is in it once added, and it is well-formed once the context ends,
    however that ends.

    Args:
        path: The file; its folder is made, and what it held is lost.
        columns: Names of a row's values, in order.

    Attributes:
        count: Number of rows in the file.

    Raises:
        SsiqaError: The file cannot be written.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.count = 0
        self._path, self._columns = path, columns
        self._json = path.suffix == ".json"
        with self._errors_named():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Buffered by line. File names that are not Unicode come out as the bytes they are.
            self._file = path.open("w", 1, encoding="utf-8", errors="surrogateescape", newline="")
        self._table = csv.writer(self._file, lineterminator="\n")

    def add(self, *values: str | float) -> None:
        """One row, in the order of the columns."""
        with self._errors_named():
            if self._json:
                row = to_json(dict(zip(self._columns, values, strict=True)))
                self._file.write((",\n" if self.count else "") + textwrap.indent(row, "  "))
            else:
                self._table.writerow(values)
        self.count += 1

    def __enter__(self) -> ScoreFile:
        with self._errors_named():
            if self._json:
                self._file.write("[\n")
            else:
                self._table.writerow(self._columns)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._errors_named(), self._file:
            if self._json:
                self._file.write("\n]\n" if self.count else "]\n")

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        """The system's errors name the file that the user typed; those of writing name none."""
        try:
            yield
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise SsiqaError(f"{self._path} cannot be written ({reason}): name another file.") from error
