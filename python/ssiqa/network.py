"""The network as a run computes it: in halves, in the precision of the machine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from ssiqa.models import QualityModel
from ssiqa.stem import halve
from ssiqa.torchscript import torchscript

Judge = Callable[[Tensor], tuple[Tensor, Tensor]]


class Network:
    """A model whose frozen first layers are a function of their own.

    Attributes:
        model: The model; what is trained here is trained there.
        device: Where it is.
        precision: ``"float32"``, or ``"bfloat16"`` for torch's mixed precision.
        has_stem: Whether frozen layers were split off.
        is_random: Whether training draws random numbers, as dropout does.
        fingerprint: Of the frozen layers and the precision: equal ones give equal activations.
    """

    def __init__(self, model: QualityModel, name: str, crop: int, device: torch.device, precision: str) -> None:
        """
        Args:
            model: On ``device``, its first layers frozen.
            name: Of the backbone, for messages.
            crop: Side of the crops it takes, in pixels.
            device: Where it computes.
            precision: What ``pick_precision`` says.
        """
        self.model, self.device, self.precision = model, device, precision
        halves = halve(model.backbone, name)
        self.has_stem = halves.stem is not None
        self.fingerprint = f"{halves.fingerprint} {precision} {device.type}"
        self._training_rest, self._evaluation_rest = halves.training_rest, halves.evaluation_rest
        example = torch.zeros(2, 3, crop, crop, device=device).contiguous(memory_format=torch.channels_last)
        self._stem: Any = self._folded(halves.stem, example) if halves.stem is not None else nn.Identity()
        self._example = self.stem(example)
        self.is_random = self._draws()

    @torch.no_grad()
    def stem(self, crops: Tensor) -> Tensor:
        """Normalised ``(n, 3, crop, crop)`` to the activations after the frozen layers, float32."""
        with self.autocast():
            activations: Tensor = self._stem(crops)
        return activations.float()

    def train_scores(self, activations: Tensor) -> Tensor:
        """What the stem gave to scores ``(n,)``, in training mode, with gradients."""
        with self.autocast():
            _, scores = self.model.judge(self._training_rest(activations))
        return scores.float()

    def judge(self) -> Judge:
        """A function from what the stem gives to features ``(n, feature_dim)`` and scores ``(n,)``, float32.

        It has the weights of this moment, without gradients.
        """
        self.model.eval()
        rest = self._folded(_Judging(self._evaluation_rest, self.model), self._example)

        def judge(activations: Tensor) -> tuple[Tensor, Tensor]:
            with torch.inference_mode(), self.autocast():
                features, scores = rest(activations)
            return features.float(), scores.float()

        return judge

    def autocast(self) -> AbstractContextManager[Any]:
        """Mixed precision where that is wanted; belongs to the calling thread."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _draws(self) -> bool:
        devices = [self.device.index or 0] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices), torch.no_grad():
            before = torch.random.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in devices)
            self.model.train()
            self.train_scores(self._example)
            after = torch.random.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in devices)
        return not all(map(torch.equal, before, after))

    def _folded(self, module: nn.Module, example: Tensor) -> Any:
        """The module with its batch norms folded into its convolutions, its weights fixed.

        A trace would fix the casts of mixed precision too: there the module stays as it is.
        """
        module.eval()
        if self.precision != "float32":
            return module
        with torch.no_grad(), torchscript():
            return torch.jit.freeze(torch.jit.trace(module, example, check_trace=False))  # type: ignore[no-untyped-call]


class _Judging(nn.Module):
    def __init__(self, rest: nn.Module, model: QualityModel) -> None:
        super().__init__()
        self.rest, self.model = rest, model

    def forward(self, activations: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.judge(self.rest(activations))
