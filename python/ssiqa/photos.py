"""Photos at working resolution, and the random crops that training takes of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssiqa.data import read_image
from ssiqa.prefetch import prefetch
from ssiqa.preprocess import Preprocess

_MEMORY = 2 << 30


class Photos:
    """Working images of photos, decoded ahead of their use, and only once as long as 2 GiB hold them.

    Attributes:
        preprocess: The working resolution and crop.
    """

    def __init__(self, preprocess: Preprocess) -> None:
        self.preprocess = preprocess
        self._kept: dict[Path, Tensor] = {}
        self._room = _MEMORY

    def working(self, paths: Iterable[Path]) -> Iterator[Tensor]:
        """The working images of ``paths`` in order, each uint8 ``(3, h, w)``."""
        # Only decoding is left to the threads: torch's own threads are busy with the model.
        for path, found in prefetch(self._find, paths):
            yield self._shrink(path, found) if isinstance(found, np.ndarray) else found

    def _find(self, path: Path) -> tuple[Path, Tensor | NDArray[np.uint8]]:
        kept = self._kept.get(path)
        return path, read_image(path) if kept is None else kept

    def _shrink(self, path: Path, pixels: NDArray[np.uint8]) -> Tensor:
        image = self.preprocess.working_images(torch.from_numpy(pixels)[None])[0].to(torch.uint8)
        if image.nbytes <= self._room and path not in self._kept:
            self._room -= image.nbytes
            self._kept[path] = image
        return image


def random_crop(working: Tensor, side: int, rng: np.random.Generator, *, flip: bool = False) -> Tensor:
    """A random ``(3, side, side)`` crop of a ``(3, h, w)`` image, mirrored every other time if ``flip``.

    Cropping and mirroring are the only augmentations: neither changes the quality of what is seen.
    """
    height, width = working.shape[1:]
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    crop = working[:, top : top + side, left : left + side]
    return crop.flip(2) if flip and rng.integers(2) else crop
