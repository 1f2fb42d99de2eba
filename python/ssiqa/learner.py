"""The one network of a run: teacher while it is asked, student while it is trained."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from ssiqa import train
from ssiqa.cache import Cache
from ssiqa.config import Config
from ssiqa.features import Look, Observer
from ssiqa.lanes import Lanes
from ssiqa.material import RatedPhotos
from ssiqa.models import build_model
from ssiqa.network import Network
from ssiqa.photos import Photos
from ssiqa.preprocess import Preprocess
from ssiqa.profile import Profile
from ssiqa.progress import Task
from ssiqa.reader import takes_any_size
from ssiqa.seeding import generator

logger = logging.getLogger("ssiqa")


class Learner:
    """A model with the settings of its run.

    Attributes:
        config: The settings.
        model: On its device, its first layers frozen as the settings say.
        preprocess: How the model sees photos.
        photos: Working images, kept from phase to phase.
        device: Where the model is.
        profile: Where the time went.
    """

    def __init__(self, config: Config, device: torch.device, precision: str, cache: Cache, profile: Profile) -> None:
        self.config = config
        self.profile = profile
        self.device = device
        weights = Path(config.weights) if config.weights else None
        model = build_model(
            config.backbone,
            weights,
            config.feature_dim,
            config.seed,
            depths=config.depths,
            queries=config.queries,
            own_share=config.teacher_share,
        )
        self.model = model.to(device)
        self.model.freeze_first_layers(config.frozen)
        whole = config.grid == 0 and takes_any_size(self.model.reader)
        self.preprocess = Preprocess.for_backbone(self.model.backbone, config.short_side, config.grid, whole)
        if self.preprocess.short_side > config.short_side:
            logger.warning(
                "Photos are seen with %d pixels on their shorter side, and not %d, because %s takes no less.",
                self.preprocess.short_side,
                config.short_side,
                config.backbone,
            )
        self.photos = Photos(self.preprocess, cache, profile)
        self._precision = precision
        self._network = self._cut()

    def settle(self) -> None:
        """From now on the network stays as it is, and what it makes of a photo is kept in the cache."""
        self.model.freeze_first_layers(1.0)
        self._network = self._cut()

    def _cut(self) -> Network:
        return Network(self.model, self.config.backbone, self.preprocess.crop, self.device, self._precision)

    @torch.inference_mode()
    def score(self, seen: Look) -> Tensor:
        """What the model, as it is now, says of photos that were seen before."""
        return self.model.score(seen.features, seen.own.float()).double()

    @contextmanager
    def observing(
        self, phase: int, total: int, what: str = "features", crops: int | None = None, *, each_crop: bool = False
    ) -> Iterator[Observer]:
        """A look at ``total`` photos, with the weights of this moment.

        Args:
            phase: For messages, as ``what``.
            total: Number of photos.
            what: Is looked for.
            crops: Random ones of each photo; without it as the settings say.
            each_crop: See random crops one by one, each as a photo.
        """
        crops = self.config.weak_crops if crops is None else crops
        with Lanes() as lanes, Task(f"{self._title(phase)}, {what}", total) as task:
            yield Observer(self._network, self.photos, crops, self.config.seed, task, lanes, each_crop=each_crop)

    def fit(self, rated: RatedPhotos, phase: int) -> list[float]:
        """Train on the photos, on strong crops, by the schedule of the phase; the mean loss of each epoch."""
        schedule = self.config.student if phase else self.config.teacher
        assert schedule is not None, "a network that stays as it is"
        task = Task(f"{self._title(phase)}, training", schedule.epochs * schedule.crops * len(rated.photos))
        with task, self._seeded_torch(phase):
            return train.fit(
                self._network,
                self.photos,
                rated.photos,
                rated.targets,
                schedule,
                seed=self.config.seed,
                phase=phase,
                task=task,
            )

    @contextmanager
    def _seeded_torch(self, phase: int) -> Iterator[None]:
        """Some backbones have dropout, which draws from torch's own generators: here they start from the seed."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(int(generator(self.config.seed, "dropout", phase).integers(1 << 62)))
            yield

    def _title(self, phase: int) -> str:
        return f"Phase {phase} of {self.config.blocks}"
