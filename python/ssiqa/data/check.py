"""Reads every photo of a folder once, before any training, and takes the folder's fingerprint."""

import hashlib
import struct
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ssiqa.data.images import ImageError, Photo, decode_image, quiet_opencv, read_bytes
from ssiqa.errors import DataError


@dataclass(frozen=True)
class CheckResult:
    """What a check of a folder found.

    Attributes:
        readable: The photos that can be decoded, in the order given.
        digests: The SHA-256 of each of them.
        skipped: Why each of the others was skipped.
        fingerprint: SHA-256 over the names, contents and labels of the readable photos; equal on every machine.
    """

    readable: tuple[str, ...]
    digests: tuple[bytes, ...]
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
    admit: Callable[[Photo, bytes], object] | None = None,
) -> CheckResult:
    """Reads every photo once, and decodes it.

    Args:
        root: The folder.
        images: Paths relative to `root`, with `/`.
        on_error: `raise` where photos cannot be read, once all have been tried, or `skip` them and say so in the
            result.
        labels: (n,) labels to cover by the fingerprint.
        groups: (n,) groups to cover by the fingerprint.
        progress: Called with the number of photos done and the number of all, after each.
        admit: Called in place of decoding, with a photo and its bytes, by several threads at a time; `ImageError` says
            that the photo cannot be used.

    Raises:
        ImageError: Photos cannot be read, and `on_error` is `raise`; the message has their number and names the first.
        DataError: No photo can be read.
    """
    readable: list[str] = []
    digests: list[bytes] = []
    skipped: dict[str, str] = {}
    fingerprint = hashlib.sha256()
    columns = [column for column in (labels, groups) if column is not None]
    with quiet_opencv(), closing(_digests(root, images, admit or _decode)) as outcomes:
        for position, (image, outcome) in enumerate(zip(images, outcomes, strict=True)):
            if isinstance(outcome, bytes):
                readable.append(image)
                digests.append(outcome)
                fingerprint.update(_record(image, outcome, (column[position] for column in columns)))
            else:
                skipped[image] = str(outcome)
            if progress is not None:
                progress(position + 1, len(images))
    if skipped and on_error == "raise":
        raise ImageError(_complaint(root, len(images), list(skipped.values()), may_skip=labels is None))
    if not readable:
        raise DataError(f"None of the {len(images)} images in {root} can be read: {next(iter(skipped.values()), '')}")
    return CheckResult(tuple(readable), tuple(digests), skipped, fingerprint.hexdigest())


def _complaint(root: Path, total: int, reasons: Sequence[str], may_skip: bool, shown: int = 3) -> str:
    """One message for all photos that cannot be read. Labelled ones are not skipped: their labels would be lost."""
    hint = '; on_error="skip" (--on-error skip) leaves them out' if may_skip else ""
    more = f" And {len(reasons) - shown} more." if len(reasons) > shown else ""
    return f"{len(reasons)} of {total} images in {root} cannot be read{hint}. {' '.join(reasons[:shown])}{more}"


def _digests(
    root: Path, images: Sequence[str], admit: Callable[[Photo, bytes], object]
) -> Generator[bytes | ImageError, None, None]:
    """Looks at the photos on all cores, and yields in order the digest of each file or why it cannot be used."""

    def digest(image: str) -> bytes | ImageError:
        try:
            data = read_bytes(root / image)
            photo = Photo(root / image, hashlib.sha256(data).digest())
            admit(photo, data)
        except ImageError as error:
            return error
        return photo.digest

    from ssiqa.lanes import Lanes  # here, so that importing ssiqa stays quick

    with Lanes() as lanes:
        yield from lanes.map(digest, images)


def _decode(photo: Photo, data: bytes) -> None:
    decode_image(data, str(photo.path))


def _record(name: str, content: bytes, values: Iterable[float]) -> bytes:
    """One photo as bytes of a length that no other name can imitate: its name is hashed first."""
    name_digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return name_digest + content + b"".join(struct.pack("<d", value) for value in values)
