"""What a network sees of a photo, random crops or what it is scored by, as its normalised input."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssiqa import _core
from ssiqa.preprocess import Preprocess


def weak_crops(image: NDArray[np.uint8], count: int, preprocess: Preprocess, rng: np.random.Generator) -> Tensor:
    """``count`` random crops of a ``(h, w, 3)`` working image, as ``(count, 3, crop, crop)`` float32."""
    return _normalized(image, [_place(image, preprocess.crop, rng, flip=False) for _ in range(count)], preprocess)


def scoring_crops(image: NDArray[np.uint8], preprocess: Preprocess) -> Tensor:
    """What a ``(h, w, 3)`` working image is scored by: crops as ``(count, 3, crop, crop)`` float32, or the whole."""
    if preprocess.whole:
        return preprocess.normalize(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float())
    places = preprocess.places(image.shape[0], image.shape[1])
    return _normalized(image, [_core.Place(top, left, False) for top, left in places], preprocess)


def strong_crop(image: NDArray[np.uint8], preprocess: Preprocess, rng: np.random.Generator) -> Tensor:
    """One random crop, mirrored every other time, as ``(1, 3, crop, crop)`` float32.

    Cropping and mirroring are the only augmentations: neither changes the quality of what is seen.
    """
    return _normalized(image, [_place(image, preprocess.crop, rng, flip=True)], preprocess)


def _place(image: NDArray[np.uint8], side: int, rng: np.random.Generator, *, flip: bool) -> _core.Place:
    top, left = (int(rng.integers(length - side + 1)) for length in image.shape[:2])
    return _core.Place(top, left, bool(flip and rng.integers(2)))


def _normalized(image: NDArray[np.uint8], places: list[_core.Place], preprocess: Preprocess) -> Tensor:
    """What ``Preprocess.normalize`` makes of the crops, to the last bit, in one pass from bytes to channels-last."""
    out = torch.empty(len(places), preprocess.crop, preprocess.crop, 3)
    _core.normalized_crops(image, places, out, preprocess.mean, preprocess.std)
    return out.permute(0, 3, 1, 2)
