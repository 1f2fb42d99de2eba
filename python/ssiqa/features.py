"""What a model sees in photos: features and predictions, of the whole or of weak crops together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ssiqa.crops import scoring_crops, weak_crops
from ssiqa.data import Photo
from ssiqa.gpu_memory import Room
from ssiqa.lanes import Lanes
from ssiqa.network import Activations, Network
from ssiqa.photos import MADE_BY, Photos
from ssiqa.progress import Task
from ssiqa.seeding import generator

# Photos whose features are handed out together: bounds the memory of a look at a million.
_TOGETHER = 1024


@dataclass(frozen=True)
class Look:
    """What is seen in photos.

    Attributes:
        features: ``(n, feature_dim)`` float32, like what follows on the network's device.
        own: ``(n,)`` float64, what the network's head says, on the internal scale.
        scores: ``(n,)`` float64 predictions; the head's, where the model has no regression.
    """

    features: Tensor
    own: Tensor
    scores: Tensor

    @staticmethod
    def join(parts: Sequence[Look]) -> Look:
        features, own, scores = zip(*((part.features, part.own, part.scores) for part in parts), strict=True)
        return Look(torch.cat(features), torch.cat(own), torch.cat(scores))


def predictions(looked: Iterable[Look], rows_per_photo: int = 1) -> Tensor:
    """``(n,)`` scores alone, of photos whose features nobody needs; means over the rows of each."""
    return of_photos(torch.cat([look.scores for look in looked]), rows_per_photo)


def of_photos(rows: Tensor, rows_per_photo: int) -> Tensor:
    """``(n * rows_per_photo,)``, those of a photo together, to their means ``(n,)``."""
    return rows if rows_per_photo == 1 else rows.view(-1, rows_per_photo).mean(1)


class Observer:
    """A network of this moment, looking at photos on weak augmentation: random crops, or those of scoring.

    Random crops depend on the seed and the photo's content alone, the others on its shape, and on a CPU each photo is a
    forward pass of its own: what is seen in it depends neither on the other photos nor on the phase, and what the
    frozen layers make of its crops is kept in the cache. A GPU computes them anew.
    """

    def __init__(
        self,
        network: Network,
        photos: Photos,
        crops: int,
        seed: int,
        task: Task,
        lanes: Lanes,
        *,
        each_crop: bool = False,
    ) -> None:
        self._network, self._photos, self._crops, self._seed = network, photos, crops, seed
        self._task, self._lanes, self._rows_per_photo = task, lanes, crops if each_crop else 1
        self._judge = network.judge()

    def look(self, photos: Sequence[Photo], *, again: bool) -> Iterator[Look]:
        """Features and predictions of ``photos`` in order, about 1,024 rows at a time.

        Args:
            photos: n photos.
            again: Whether later phases will look at them too, so that keeping activations pays.

        Yields:
            A row for each photo, or for each of its crops, one photo's after the other's.
        """
        seen: list[Look] = []
        for look in self._each(photos, again):
            seen.append(look)
            self._task.advance(len(look.scores) // self._rows_per_photo)
            if sum(len(look.scores) for look in seen) >= _TOGETHER:
                yield Look.join(seen)
                seen = []
        if seen:
            yield Look.join(seen)

    def _each(self, photos: Sequence[Photo], again: bool) -> Iterator[Look]:
        if not self._network.in_batches:
            yield from self._lanes.map(lambda photo: self._see(*self._activations(photo, again)), photos)
            return
        room, group = Room(self._network.device), list[Tensor]()
        for crops in self._lanes.map(self._cut, photos):  # ahead, while the GPU computes
            held = sum(map(Tensor.numel, group))
            if group and (crops.shape[1:] != group[0].shape[1:] or held + crops.numel() > room.values):
                yield self._see_group(group, room)
                group = []
            group.append(crops)
        if group:
            yield self._see_group(group, room)

    def _see_group(self, group: list[Tensor], room: Room) -> Look:
        counts = self._counts(group)
        batch = torch.cat(group)
        clock, device = self._photos.profile, self._network.device
        with room.taken_by(batch.numel()), clock.stage("forward", images=len(batch), device=device):
            crops = batch.pin_memory().to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
            features, own, scores = self._judge(self._network.stem(crops), counts)
        return Look(features, own.double(), scores.double())

    def _activations(self, photo: Photo, again: bool) -> tuple[Activations, list[int]]:
        """What the frozen layers make of a photo's crops, from the cache, or computed and kept; and their number."""
        if not self._network.has_stem:
            crops = self._cut(photo)
            return (crops,), self._counts([crops])
        which = f"{self._crops} crops, seed {self._seed}" if self._crops else "crops of scoring"
        looked = f"{which}, {self._photos.preprocess}, {MADE_BY}"
        recipe = f"stem {self._network.fingerprint}, {looked}"
        keys = [
            hashlib.sha256(photo.digest + f"{recipe}, {part}".encode()).hexdigest()
            for part in range(self._network.parts)
        ]
        with self._photos.profile.stage("cache"):
            kept = [self._photos.cache.get(key) for key in keys]
        if all(part is not None for part in kept):
            found = tuple(_channels_first(torch.from_numpy(np.array(part))) for part in kept)
            return found, self._counts([found[0]])
        crops = self._cut(photo)
        with self._photos.profile.stage("forward"):
            activations = self._network.stem(crops)
        if again:
            with self._photos.profile.stage("cache"):
                for key, part in zip(keys, activations, strict=True):
                    self._photos.cache.put(key, _channels_last(part).contiguous().numpy())
        return activations, self._counts([crops])

    def _counts(self, photos: list[Tensor]) -> list[int]:
        """How many crops make a row each."""
        return [1] * sum(map(len, photos)) if self._rows_per_photo > 1 else [len(crops) for crops in photos]

    def _cut(self, photo: Photo) -> Tensor:
        image = self._photos.working(photo)
        with self._photos.profile.stage("augment", images=self._crops or 1):
            if not self._crops:
                return scoring_crops(image, self._photos.preprocess)
            rng = generator(self._seed, "weak", int.from_bytes(photo.digest, "little"))
            return weak_crops(image, self._crops, self._photos.preprocess, rng)

    def _see(self, activations: Activations, counts: list[int]) -> Look:
        with self._photos.profile.stage("forward", images=sum(counts)):
            features, own, scores = self._judge(activations, counts)
        return Look(features, own.double(), scores.double())


def _channels_last(activations: Tensor) -> Tensor:
    """Images in the order in which they lie in memory; tokens as they are."""
    return activations.permute(0, 2, 3, 1) if activations.ndim == 4 else activations


def _channels_first(activations: Tensor) -> Tensor:
    return activations.permute(0, 3, 1, 2) if activations.ndim == 4 else activations
