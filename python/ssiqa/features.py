"""What a model sees in photos: features and predictions, pooled over weak crops."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssiqa.crops import weak_crops
from ssiqa.data import Photo
from ssiqa.lanes import Lanes, batches
from ssiqa.network import Activations, Network
from ssiqa.photos import MADE_BY, Photos
from ssiqa.progress import Task
from ssiqa.seeding import generator

# Photos whose features are handed out together: bounds the memory of a look at a million.
_TOGETHER = 1024
_CROPS_A_BATCH_ON_A_GPU = 256

_Means: TypeAlias = "tuple[NDArray[np.float32], NDArray[np.float64]]"


@dataclass(frozen=True)
class Views:
    """Per-photo means over weak crops.

    Attributes:
        features: ``(n, feature_dim)`` float32.
        scores: ``(n,)`` float64 predictions from these on the internal scale.
    """

    features: NDArray[np.float32]
    scores: NDArray[np.float64]

    @staticmethod
    def join(parts: Sequence[Views]) -> Views:
        features = np.concatenate([part.features for part in parts])
        return Views(features, np.concatenate([part.scores for part in parts]))


def predictions(looked: Iterable[Views]) -> NDArray[np.float64]:
    """``(n,)`` scores alone, of photos whose features nobody needs."""
    return np.concatenate([views.scores for views in looked])


class Observer:
    """A network of this moment, looking at photos on weak augmentation: random crops, nothing else.

    The crops of a photo depend on the seed and its content alone, and on a CPU each photo is a forward pass of its own:
    what is seen in it depends neither on the other photos nor on the phase, and what the frozen layers make of its
    crops is kept in the cache. A GPU computes them anew.
    """

    def __init__(self, network: Network, photos: Photos, crops: int, seed: int, task: Task, lanes: Lanes) -> None:
        self._network, self._photos, self._crops, self._seed = network, photos, crops, seed
        self._task, self._lanes = task, lanes
        self._judge = network.judge()

    def look(self, photos: Sequence[Photo], *, again: bool) -> Iterator[Views]:
        """Features and predictions of ``photos`` in order, about 1,024 at a time.

        Args:
            photos: n photos.
            again: Whether later phases will look at them too, so that keeping activations pays.
        """
        features: list[NDArray[np.float32]] = []
        scores: list[NDArray[np.float64]] = []
        for feature, score in self._each(photos, again):
            features.append(feature)
            scores.append(score)
            self._task.advance(len(score))
            if sum(map(len, scores)) >= _TOGETHER:
                yield Views(np.concatenate(features), np.concatenate(scores))
                features, scores = [], []
        if scores:
            yield Views(np.concatenate(features), np.concatenate(scores))

    def _each(self, photos: Sequence[Photo], again: bool) -> Iterator[_Means]:
        if self._network.device.type == "cpu":
            yield from self._lanes.map(lambda photo: self._see(self._activations(photo, again)), photos)
            return
        crops = self._lanes.map(self._cut, photos)  # ahead, while the GPU computes
        for _ in batches(photos, size := max(1, _CROPS_A_BATCH_ON_A_GPU // self._crops)):
            group = torch.cat(list(islice(crops, size))).pin_memory().to(self._network.device, non_blocking=True)
            yield self._see(self._network.stem(group.contiguous(memory_format=torch.channels_last)))

    def _activations(self, photo: Photo, again: bool) -> Activations:
        """What the frozen layers make of a photo's crops: from the cache, or computed and kept."""
        if not self._network.has_stem:
            return (self._cut(photo),)
        looked = f"{self._crops} crops, seed {self._seed}, {self._photos.preprocess}, {MADE_BY}"
        recipe = f"stem {self._network.fingerprint}, {looked}"
        keys = [
            hashlib.sha256(photo.digest + f"{recipe}, {part}".encode()).hexdigest()
            for part in range(self._network.parts)
        ]
        with self._photos.profile.stage("cache"):
            kept = [self._photos.cache.get(key) for key in keys]
        if all(part is not None for part in kept):
            return tuple(_channels_first(torch.from_numpy(np.array(part))) for part in kept)
        crops = self._cut(photo)
        with self._photos.profile.stage("forward"):
            activations = self._network.stem(crops)
        if again:
            with self._photos.profile.stage("cache"):
                for key, part in zip(keys, activations, strict=True):
                    self._photos.cache.put(key, _channels_last(part).contiguous().numpy())
        return activations

    def _cut(self, photo: Photo) -> Tensor:
        image = self._photos.working(photo)
        with self._photos.profile.stage("augment", images=self._crops):
            rng = generator(self._seed, "weak", int.from_bytes(photo.digest, "little"))
            return weak_crops(image, self._crops, self._photos.preprocess, rng)

    def _see(self, activations: Activations) -> _Means:
        with self._photos.profile.stage("forward", images=len(activations[0])):
            features, scores = self._judge(activations, self._crops)
            return features.cpu().numpy(), scores.double().cpu().numpy()


def _channels_last(activations: Tensor) -> Tensor:
    """Images in the order in which they lie in memory; tokens as they are."""
    return activations.permute(0, 2, 3, 1) if activations.ndim == 4 else activations


def _channels_first(activations: Tensor) -> Tensor:
    return activations.permute(0, 3, 1, 2) if activations.ndim == 4 else activations
