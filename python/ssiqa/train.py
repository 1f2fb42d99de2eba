"""Training: photos, targets and a schedule in; the same model, better, out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from math import ceil
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from timm.optim import param_groups_weight_decay  # type: ignore[attr-defined]
from torch import Tensor

from ssiqa.config import Schedule
from ssiqa.crops import strong_crop
from ssiqa.data import Photo
from ssiqa.errors import SsiqaError
from ssiqa.gpu_memory import Room
from ssiqa.lanes import Lanes, batches
from ssiqa.models import QualityModel
from ssiqa.network import Network
from ssiqa.photos import Photos
from ssiqa.progress import Task
from ssiqa.seeding import generator
from ssiqa.standard import Standard

# Crops that a lane trains on at a time: activations of more outgrow its core's caches, fewer make products too small.
_PART = 4

_Part: TypeAlias = "tuple[float, tuple[Tensor | None, ...]]"


def fit(
    network: Network,
    photos: Photos,
    examples: Sequence[Photo],
    targets: NDArray[np.float64],
    schedule: Schedule,
    *,
    seed: int,
    phase: int,
    task: Task,
) -> list[float]:
    """Minimise the smooth L1 loss between scores of strongly augmented crops and ``targets``, with a fresh AdamW.

    Each epoch sees each photo as often as the schedule says, in a new order, as a random crop mirrored at random.

    Args:
        network: Trained in place, on the device where it is.
        photos: Where working images come from.
        examples: n photos.
        targets: ``(n,)`` on the internal scale.
        schedule: Epochs, crops, learning rates, batch size, weight decay and clipping.
        seed: Root seed; with ``phase``, epoch and photo it fixes order and crops.
        phase: Number of the phase, for the seed and messages only.
        task: Told of every crop trained on.

    Returns:
        Mean loss of each epoch.

    Raises:
        SsiqaError: The loss is no longer finite.
    """
    parameters = list(network.model.trainable())
    exempt = _exempt(network.model)
    decaying = param_groups_weight_decay(network.model, schedule.weight_decay, no_weight_decay_list=exempt)
    optimizer = torch.optim.AdamW(decaying, lr=schedule.lr, fused=True)
    clock, losses, room = photos.profile, [], Room(network.device)
    network.model.train()
    for epoch in range(schedule.epochs):
        order = generator(seed, "order", phase, epoch).permutation(schedule.crops * len(examples)).tolist()
        steps = batches(order, schedule.batch_size)
        total, seen = 0.0, 0
        with Lanes(_most_lanes(network, schedule.batch_size)) as lanes:
            one_pass = _Pass(network, photos, examples, targets, (seed, phase, epoch), lanes, order, room)
            for number, step in enumerate(steps, start=1):
                loss = one_pass.gradients(step)
                with clock.stage("optimiser", images=len(step), device=network.device):
                    if schedule.clip:
                        torch.nn.utils.clip_grad_norm_(parameters, schedule.clip)
                    for group in optimizer.param_groups:
                        group["lr"] = schedule.rate(epoch, number / len(steps))
                    optimizer.step()
                total += loss * len(step)
                seen += len(step)
                task.advance(len(step), epoch=f"{epoch + 1}/{schedule.epochs}", loss=total / seen)
        if not (np.isfinite(total) and all(torch.isfinite(parameter).all() for parameter in parameters)):
            raise SsiqaError(f"Phase {phase} diverged; lower the learning rate, which is {schedule.lr:g}.")
        losses.append(total / len(order))
    return losses


def _exempt(model: QualityModel) -> list[str]:
    """Parameters that do not decay by what timm says of the backbone, such as positions of tokens."""
    names: Any = getattr(model.reader.backbone, "no_weight_decay", list)
    return [f"reader.backbone.{name}" for name in names()]


def _most_lanes(network: Network, batch_size: int) -> int | None:
    """On a GPU all that there are, which only cut crops; torch has one generator for what is random in a network."""
    if network.in_batches:
        return None
    return 1 if network.is_random else ceil(batch_size / _PART)


class _Pass:
    """One epoch's crops and their gradients.

    On a CPU a step is computed in parts of a few crops, side by side; a GPU gets as much of it as its memory holds,
    from crops cut ahead. Batch norms are frozen and parts are summed in order, so that neither parts nor lanes change
    what a step does.
    """

    def __init__(
        self,
        network: Network,
        photos: Photos,
        examples: Sequence[Photo],
        targets: NDArray[np.float64],
        key: tuple[int, int, int],
        lanes: Lanes,
        order: Sequence[int],
        room: Room,
    ) -> None:
        self._network, self._photos, self._examples, self._key, self._lanes = network, photos, examples, key, lanes
        self._room = room
        self._wanted = torch.from_numpy(targets).float().repeat(len(order) // len(examples))
        self._parameters = list(network.model.trainable())
        if network.in_batches:
            self._ahead = lanes.map(self._crop, order)

    def gradients(self, step: Sequence[int]) -> float:
        """Give the parameters the gradients of a step's mean loss; that loss."""
        total = 0.0
        for parameter in self._parameters:
            parameter.grad = None
        for loss, gradients in self._parts(step):
            total += loss
            for parameter, gradient in zip(self._parameters, gradients, strict=True):
                if gradient is None:
                    continue
                if parameter.grad is None:
                    # Laid out as the parameter: torch's fused optimiser goes through memory, not through indices.
                    parameter.grad = torch.zeros_like(parameter)
                parameter.grad += gradient
        return total

    def _parts(self, step: Sequence[int]) -> Iterator[_Part]:
        if not self._network.in_batches:

            def part(rows: Sequence[int]) -> _Part:
                return self._backpropagate(torch.cat([self._crop(row) for row in rows]), rows, len(rows) / len(step))

            yield from self._lanes.map(part, batches(step, _PART))
            return
        begin = 0
        while begin < len(step):
            most = max(_PART, self._room.values // (3 * self._photos.preprocess.crop**2))
            rows = step[begin : begin + most]
            crops = torch.cat(list(islice(self._ahead, len(rows)))).pin_memory()
            with self._room.taken_by(crops.numel()):
                crops = crops.to(self._network.device, non_blocking=True).contiguous(memory_format=torch.channels_last)
                found = self._backpropagate(crops, rows, len(rows) / len(step))
            yield found
            begin += len(rows)

    def _crop(self, row: int) -> Tensor:
        image = self._photos.working(self._examples[row % len(self._examples)])
        seed, phase, epoch = self._key
        with self._photos.profile.stage("augment", images=1):
            return strong_crop(image, self._photos.preprocess, generator(seed, "strong", phase, epoch, row))

    def _backpropagate(self, crops: Tensor, rows: Sequence[int], share: float) -> _Part:
        clock = self._photos.profile
        with clock.stage("forward", images=len(rows), device=crops.device):
            scores = self._network.train_scores(crops)
            loss = share * F.smooth_l1_loss(scores, self._wanted[rows].to(crops.device))
        with clock.stage("backward", images=len(rows), device=crops.device):
            gradients = torch.autograd.grad(loss, self._parameters, allow_unused=True)
            return loss.item(), gradients


def standardize(model: QualityModel, features: Tensor) -> Tensor:
    """Fit the model's standard of several depths to ``(n, d)`` features as read; what they are by that standard."""
    if not isinstance(model.standard, Standard):
        return features
    model.standard.fit(features)
    standard: Tensor = model.standard(features)
    return standard


def probe_head(model: QualityModel, features: Tensor, targets: NDArray[np.float64]) -> None:
    """Set the head to the ridge regression of ``targets`` on the features, its penalty by leave-one-out.

    Fine-tuning from a fitted head distorts the pretrained features less, which keeps transfer to other domains
    (Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution", ICLR 2022).
    """
    regression = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(0, 5, 11)))
    regression.fit(features.double().cpu().numpy(), targets)
    scaler, ridge = regression[0], regression[1]
    weight = ridge.coef_ / scaler.scale_
    bias = ridge.intercept_ - weight @ scaler.mean_
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(weight)[None])
        model.head.bias.copy_(torch.as_tensor(bias)[None])
