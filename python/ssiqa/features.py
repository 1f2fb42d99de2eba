"""What a model sees in photos: features and predictions, pooled over weak crops."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ssiqa.models import QualityModel
from ssiqa.photos import Photos, random_crop
from ssiqa.prefetch import batches
from ssiqa.progress import Task
from ssiqa.seeding import generator

# Activations of more crops than this outgrow what the C library keeps between calls: every layer then faults in fresh
# pages, and the forward pass on a CPU is slower, not faster.
_CROPS_A_BATCH = 8


@dataclass(frozen=True)
class Views:
    """Per-photo means over weak crops.

    Attributes:
        features: ``(n, feature_dim)`` float32.
        scores: ``(n,)`` float64 predictions on the internal scale.
    """

    features: NDArray[np.float32]
    scores: NDArray[np.float64]


def observe(
    model: QualityModel, photos: Photos, paths: list[Path], *, crops: int, seed: int, key: tuple[int, ...], task: Task
) -> Views:
    """Features and predictions of ``paths`` on weak augmentation: ``crops`` random crops each, nothing else.

    The crops depend on ``seed``, ``key`` and the photo's place in ``paths``, not on how the work is batched.
    """
    device = next(model.parameters()).device
    side = photos.preprocess.crop
    working = photos.working(paths)
    features, scores = [], []
    model.eval()
    with torch.inference_mode():
        for batch in batches(range(len(paths)), max(1, _CROPS_A_BATCH // crops)):
            stack = []
            for index, image in zip(batch, working, strict=False):
                rng = generator(seed, "weak", *key, index)
                stack += [random_crop(image, side, rng) for _ in range(crops)]
            seen, score = model(photos.preprocess.normalize(torch.stack(stack).to(device)))
            features.append(seen.view(-1, crops, model.feature_dim).mean(1).cpu())
            scores.append(score.double().view(-1, crops).mean(1).cpu())
            task.advance(len(batch))
    return Views(torch.cat(features).numpy(), torch.cat(scores).numpy())
