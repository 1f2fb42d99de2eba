"""labels.csv: reading the rows, and saying exactly which line is wrong."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from ssiqa.data.labels import LABEL_COLUMNS
from ssiqa.errors import DataError

LABELS_FILE = "labels.csv"
IMAGE_COLUMNS = ("image", "file", "path")
GROUP_COLUMN = "group"


class LabelRow(NamedTuple):
    """One row: the line it ends on, the label as the user wrote it, and the group if one is given."""

    line: int
    label: float
    group: str | None


class _Columns(NamedTuple):
    """Positions of the columns in a row, and how many there are."""

    image: int
    label: int
    group: int | None
    cells: int


def read_label_table(path: Path) -> tuple[str, dict[str, LabelRow]]:
    """Reads a label file.

    Returns:
        The name of the label column, and the rows by image path (relative, with `/`).

    Raises:
        DataError: The file is missing or not a UTF-8 CSV, a column is missing or given twice, or a row is wrong.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except FileNotFoundError as error:
        raise DataError(
            f"{path.parent} has no {path.name}: add one with the columns {IMAGE_COLUMNS[0]} and {LABEL_COLUMNS[0]}."
        ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error}): save it as comma-separated text in UTF-8.") from error
    if not lines:
        raise DataError(f"{path} is empty: add a header with the columns {IMAGE_COLUMNS[0]} and {LABEL_COLUMNS[0]}.")
    header = [cell.strip().lower() for cell in lines[0][1]]
    columns = _find_columns(path, header)
    return header[columns.label], _read_rows(path, lines[1:], columns)


def _find_columns(path: Path, header: list[str]) -> _Columns:
    groups = [position for position, name in enumerate(header) if name == GROUP_COLUMN]
    if len(groups) > 1:
        raise DataError(f"{path} has several columns {GROUP_COLUMN!r}: keep one.")
    image = _find_column(path, header, IMAGE_COLUMNS, "the image path")
    label = _find_column(path, header, LABEL_COLUMNS, "the label")
    return _Columns(image, label, groups[0] if groups else None, len(header))


def _find_column(path: Path, header: list[str], allowed: Sequence[str], purpose: str) -> int:
    found = [position for position, name in enumerate(header) if name in allowed]
    if not found:
        choice = f"{', '.join(allowed[:-1])} or {allowed[-1]}"
        raise DataError(f"{path} has no column for {purpose}: name one column of its comma-separated header {choice}.")
    if len(found) > 1:
        names = " and ".join(header[position] for position in found)
        raise DataError(f"{path} has several columns for {purpose} ({names}): keep one.")
    return found[0]


def _read_rows(path: Path, lines: list[tuple[int, list[str]]], columns: _Columns) -> dict[str, LabelRow]:
    rows: dict[str, LabelRow] = {}
    for line, cells in lines:
        place = f"Line {line} of {path}"
        if any(cell.strip() for cell in cells[columns.cells :]):
            raise DataError(
                f"{place} has more cells than the header: write decimals with a point, and in quotation marks a name "
                "that holds a comma."
            )
        image = _image_path(_cell(cells, columns.image), place)
        row = LabelRow(line, _label(_cell(cells, columns.label), place), _cell(cells, columns.group) or None)
        if image in rows:
            raise DataError(f"{place} labels {image} again, after line {rows[image].line}: keep one of the two rows.")
        rows[image] = row
    return rows


def _cell(cells: list[str], position: int | None) -> str:
    """A cell without blanks around it; a row may be shorter than the header."""
    return "" if position is None or position >= len(cells) else cells[position].strip()


def _image_path(cell: str, place: str) -> str:
    if not cell:
        raise DataError(f"{place} names no image: fill the cell or remove the row.")
    if leads_out(cell):
        raise DataError(f"{place} names {cell}, outside of the folder: give a path relative to the folder.")
    return str(PurePosixPath(*PureWindowsPath(cell).parts))


def leads_out(image: str) -> bool:
    """Whether a path, of whatever system, is not one into the folder that it is relative to."""
    path = PureWindowsPath(image)
    return bool(path.anchor) or ".." in path.parts


def _label(cell: str, place: str) -> float:
    try:
        label = float(cell)
    except ValueError:
        label = math.nan
    if not math.isfinite(label):
        raise DataError(f"{place} has the label {cell!r}: give a finite number or remove the row and its image.")
    return label
