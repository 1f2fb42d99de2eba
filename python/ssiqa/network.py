"""The network as a run computes it: in halves, trained in the precision of the machine, and judging in float32."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from typing import TypeAlias

import timm
import torch
from torch import Tensor

from ssiqa.fold import fold_batch_norms
from ssiqa.models import QualityModel
from ssiqa.stem import halve

Activations: TypeAlias = "tuple[Tensor, ...]"
Judge: TypeAlias = "Callable[[Activations, Sequence[int]], tuple[Tensor, Tensor, Tensor]]"


class Network:
    """A model whose frozen first layers are a function of their own.

    Attributes:
        model: The model; what is trained here is trained there.
        device: Where it is.
        in_batches: Whether that computes many photos at once, as a GPU does, or one at a time.
        precision: Of training: ``"float32"``, or ``"bfloat16"`` for torch's mixed precision. Judgements are float32, as
            exported scorers are, so that regressions and guard go by the scores that are handed out.
        has_stem: Whether frozen layers were split off.
        parts: How many tensors lead from them to the others.
        is_random: Whether training draws random numbers, as dropout does.
        fingerprint: Of the frozen layers, by what they compute in float32: other weights, layers, versions or machines
            whose activations differ have another.
    """

    def __init__(self, model: QualityModel, name: str, crop: int, device: torch.device, precision: str) -> None:
        """
        Args:
            model: On ``device``, its first layers frozen.
            name: Of the backbone.
            crop: Side of the crops it takes, in pixels.
            device: Where it computes.
            precision: Of training, as ``pick_precision`` says.
        """
        self.model, self.device, self.precision = model, device, precision
        self.in_batches = device.type != "cpu"
        noise = torch.randn(2, 3, crop, crop, generator=torch.Generator().manual_seed(0))
        example = noise.to(device).contiguous(memory_format=torch.channels_last)
        halves = halve(model, name, example)
        self.has_stem = halves.stem is not None
        self._stem = None if halves.stem is None else fold_batch_norms(halves.stem)
        self._training_rest, self._evaluation_rest = halves.training_rest, halves.evaluation_rest
        activations = self.stem(example)
        self.parts = len(activations)
        self.is_random = self._draws(example)
        computed = hashlib.sha256(b"".join(part.cpu().numpy().tobytes() for part in activations)).hexdigest()
        self.fingerprint = f"{name}, timm {timm.__version__}, torch {torch.__version__}, {computed}"

    @torch.no_grad()
    def stem(self, crops: Tensor) -> Activations:
        """Normalised ``(n, 3, crop, crop)`` to all that the rest needs of the frozen layers, float32."""
        return (crops,) if self._stem is None else tuple(self._stem(crops))

    def train_scores(self, crops: Tensor) -> Tensor:
        """Normalised ``(n, 3, crop, crop)`` to scores ``(n,)``, float32, in training mode, with gradients."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            frozen = (activations.float() for activations in self.stem(crops))
            scores = self.model.own(self._training_rest(*frozen))
        return scores.float()

    def judge(self) -> Judge:
        """A function from what the stem gives of the crops of n photos, and how many each has, to features
        ``(n, feature_dim)``, what the head says ``(n,)``, and scores ``(n,)``, all float32.

        It keeps the weights of this moment, without gradients.
        """
        rest = fold_batch_norms(self._evaluation_rest)
        model = copy.deepcopy(self.model, {id(self.model.reader): None})  # all but the reader
        if model.regression is not None:
            model.regression.centres = model.regression.centres.double()  # as it computes: once, and not for each photo

        @torch.inference_mode()
        def judge(activations: Activations, counts: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
            read, alike = rest(*activations), len(set(counts)) == 1
            groups = (
                [read.unflatten(0, (len(counts), -1))] if alike else [part[None] for part in read.split(list(counts))]
            )
            seen = [model.see(group) for group in groups]
            features, own = (torch.cat(parts) for parts in zip(*seen, strict=True))
            return features, own, model.score(features, own)

        return judge

    def _draws(self, crops: Tensor) -> bool:
        devices = [self.device] if self.device.type == "cuda" else []
        was_training = self.model.training
        with torch.random.fork_rng(devices), torch.no_grad():
            before = torch.random.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in devices)
            self.model.train()
            self.train_scores(crops)
            after = torch.random.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in devices)
        self.model.train(was_training)
        return not all(map(torch.equal, before, after))
