"""Reads every photo of a folder once, before any training, and takes the folder's fingerprint."""

import hashlib
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ssiqa.data.images import ImageError, decode_image, quiet_opencv, read_bytes
from ssiqa.errors import DataError

# Futures handed to the pool at once: bounds the memory of a check of a million photos.
_CHUNK = 1024


@dataclass(frozen=True)
class CheckResult:
    """What a check of a folder found.

    Attributes:
        readable: The photos that can be decoded, in the order given.
        skipped: Why each of the others was skipped.
        fingerprint: SHA-256 over the names, contents and labels of the readable photos; equal on every machine.
    """

    readable: tuple[str, ...]
    skipped: dict[str, str]
    fingerprint: str


def check_images(
    root: Path,
    images: Sequence[str],
    *,
    on_error: Literal["raise", "skip"],
    labels: NDArray[np.float64] | None = None,
    groups: NDArray[np.int64] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CheckResult:
    """Decodes every photo once.

    Args:
        root: The folder.
        images: Paths relative to `root`, with `/`.
        on_error: `raise` at the first photo that cannot be read, or `skip` it and say so in the result.
        labels: (n,) labels to cover by the fingerprint.
        groups: (n,) groups to cover by the fingerprint.
        progress: Called with the number of photos done and the number of all, after each.

    Raises:
        ImageError: A photo cannot be read, and `on_error` is `raise`.
        DataError: No photo can be read.
    """
    readable: list[str] = []
    skipped: dict[str, str] = {}
    fingerprint = hashlib.sha256()
    columns = [column for column in (labels, groups) if column is not None]
    with quiet_opencv():
        for position, (image, outcome) in enumerate(zip(images, _digests(root, images), strict=True)):
            if isinstance(outcome, bytes):
                readable.append(image)
                fingerprint.update(_record(image, outcome, (column[position] for column in columns)))
            elif on_error == "raise":
                raise outcome
            else:
                skipped[image] = str(outcome)
            if progress is not None:
                progress(position + 1, len(images))
    if not readable:
        raise DataError(f"None of the {len(images)} images in {root} can be read: {next(iter(skipped.values()), '')}")
    return CheckResult(tuple(readable), skipped, fingerprint.hexdigest())


def _digests(root: Path, images: Sequence[str]) -> Iterator[bytes | ImageError]:
    """Decodes the photos on all cores, and yields in order the digest of each file or why it cannot be used."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(images), _CHUNK):
            yield from pool.map(_digest, [root / image for image in images[start : start + _CHUNK]])


def _digest(path: Path) -> bytes | ImageError:
    try:
        data = read_bytes(path)
        decode_image(data, str(path))
    except ImageError as error:
        return error
    return hashlib.sha256(data).digest()


def _record(name: str, content: bytes, values: Iterable[float]) -> bytes:
    """One photo as bytes of a length that no other name can imitate: its name is hashed first."""
    name_digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return name_digest + content + b"".join(struct.pack("<d", value) for value in values)
