"""Training: photos, targets and a schedule in; the same model, better, out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ssiqa.config import Schedule
from ssiqa.errors import SsiqaError
from ssiqa.models import QualityModel
from ssiqa.photos import Photos, random_crop
from ssiqa.prefetch import batches
from ssiqa.progress import Task
from ssiqa.seeding import generator


def fit(
    model: QualityModel,
    photos: Photos,
    paths: list[Path],
    targets: NDArray[np.float64],
    schedule: Schedule,
    *,
    seed: int,
    phase: int,
    task: Task,
) -> list[float]:
    """Minimise the smooth L1 loss between scores of strongly augmented crops and ``targets``, with a fresh Adam.

    Each epoch sees each photo once, in a new order, as one random crop mirrored at random.

    Args:
        model: Trained in place, on the device where it is.
        photos: Where working images come from.
        paths: n photos.
        targets: ``(n,)`` on the internal scale.
        schedule: Epochs, learning rates, batch size.
        seed: Root seed; with ``phase``, epoch and photo it fixes order and crops.
        phase: Number of the phase, for the seed and messages only.
        task: Told of every crop trained on.

    Returns:
        Mean loss of each epoch.

    Raises:
        SsiqaError: The loss is no longer finite.
    """
    device = next(model.parameters()).device
    optimizer = torch.optim.Adam(list(model.trainable()), lr=schedule.lr)
    wanted = torch.from_numpy(targets).float()
    losses = []
    model.train()
    for epoch in range(schedule.epochs):
        order = generator(seed, "order", phase, epoch).permutation(len(paths)).tolist()
        working = photos.working(paths[index] for index in order)
        steps = batches(order, schedule.batch_size)
        total, seen = 0.0, 0
        for number, step in enumerate(steps, start=1):
            crops = [
                random_crop(image, photos.preprocess.crop, generator(seed, "strong", phase, epoch, index), flip=True)
                for index, image in zip(step, working, strict=False)
            ]
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(epoch, number / len(steps))
            optimizer.zero_grad(set_to_none=True)
            _, scores = model(photos.preprocess.normalize(torch.stack(crops).to(device)))
            loss = F.smooth_l1_loss(scores, wanted[step].to(device))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(step)
            seen += len(step)
            task.advance(len(step), epoch=f"{epoch + 1}/{schedule.epochs}", loss=total / seen)
        if not (np.isfinite(total) and all(torch.isfinite(parameter).all() for parameter in model.trainable())):
            raise SsiqaError(f"Phase {phase} diverged; lower the learning rate, which is {schedule.lr:g}.")
        losses.append(total / len(paths))
    return losses


def probe_head(model: QualityModel, features: NDArray[np.float32], targets: NDArray[np.float64]) -> None:
    """Set the head to the ridge regression of ``targets`` on the features, its penalty by leave-one-out.

    Fine-tuning from a fitted head distorts the pretrained features less, which keeps transfer to other domains
    (Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution", ICLR 2022).
    """
    regression = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(0, 5, 11)))
    regression.fit(features.astype(np.float64), targets)
    scaler, ridge = regression[0], regression[1]
    weight = ridge.coef_ / scaler.scale_
    bias = ridge.intercept_ - weight @ scaler.mean_
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(weight)[None])
        model.head.bias.copy_(torch.as_tensor(bias)[None])
