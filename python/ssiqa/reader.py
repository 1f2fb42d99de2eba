"""What a backbone tells of a crop: its pooled output, what its activations are like at several depths, or its tokens as
a decoder reads them.

Quality shows early in a network, in its response to edges and noise, and content late. Training on one set of photos
leaves of the early layers, at the last one, what that set asked for; photos of another kind ask for something else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from posixpath import commonpath
from typing import Any

import numpy as np
import torch
from timm.models import group_parameters
from torch import Tensor, fx, nn

from ssiqa.decoder import Decoder
from ssiqa.errors import WeightsError, first_line
from ssiqa.torchscript import torchscript

MOST_LAYERS = 7
"""Layers that are listened to beside the last; evenly spread where a backbone has more."""

logger = logging.getLogger("ssiqa")

_NOTICE: ContextVar[Callable[[Tensor], None] | None] = ContextVar("notice", default=None)

fx.wrap("moments")


def moments(activations: Tensor, channels_last: bool, prefix: int = 0, class_token: bool = False) -> Tensor:
    """Mean and standard deviation of each channel over all places, and the class token if asked for: float32
    ``(n, 2 C)``, or ``(n, 3 C)``.

    Args:
        activations: ``(n, C, H, W)``, tokens ``(n, T, C)``, or ``(n, H, W, C)``.
        channels_last: Whether four axes are the last of these.
        prefix: Tokens before those of places.
        class_token: Whether the first of those is one.
    """
    axes = {3: [1], 4: [1, 2] if channels_last else [2, 3]}[activations.ndim]
    places = activations[:, prefix:] if prefix else activations
    variance, mean = torch.var_mean(places.float(), dim=axes, correction=0)
    first = [activations[:, 0].float()] if class_token else []
    return torch.cat([mean, (variance + 1e-6).sqrt(), *first], 1)


def pool_moments(read: Tensor, widths: Sequence[int], parts: int) -> Tensor:
    """Means and standard deviations of several crops of a photo to those over all their places; of class tokens the
    mean.

    Args:
        read: ``(n, crops, sum of widths)``, for each depth what :func:`moments` gives.
        widths: Of each depth.
        parts: Of which a depth consists: 2, or with the class token 3.
    """
    pooled = []
    for depth in torch.split(read.float(), list(widths), dim=2):
        means, deviations, *class_tokens = depth.chunk(parts, dim=2)
        mean = means.mean(1)
        pooled += [mean, (deviations.square() + (means - mean[:, None]).square()).mean(1).sqrt()]
        pooled += [tokens.mean(1) for tokens in class_tokens]
    return torch.cat(pooled, 1)


def takes_any_size(reader: Reader) -> bool:
    """Whether it, and a trace of it on images of one size, read images of another shape alike."""
    trained: Any = reader.backbone.pretrained_cfg
    channels, height, width = trained["input_size"]
    noise = torch.Generator().manual_seed(0)
    device = next(reader.backbone.parameters()).device
    one, other = (
        torch.randn(1, channels, height + more, width + 2 * more, generator=noise).to(device) for more in (0, 33)
    )
    was_training = reader.training
    try:
        with torch.no_grad(), torchscript():
            traced = torch.jit.trace(reader.eval(), one, check_trace=False)  # type: ignore[no-untyped-call]
            return torch.allclose(traced(other), reader(other), rtol=1e-3, atol=1e-3)
    except Exception as error:  # anything that a network may raise
        logger.info("Photos are seen by crops that cover them: this network takes one size (%s).", type(error).__name__)
        return False
    finally:
        reader.train(was_training)


class _Features(nn.Module):
    """A backbone without its pooling, as a module: where one is called, tracing looks for functions to keep whole."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.forward = backbone.forward_features


class Reader(nn.Module):
    """Crops to one vector each.

    Attributes:
        backbone: A timm model without classifier.
        depths: Whether it is read at several depths.
        decoder: What reads its tokens, if something does.
        widths: How many features each depth gives; the pooled output is one depth.
        parts: Of which a depth consists, as wide as each other: mean, deviation, and the class token if each layer
            hands one on; one that comes in the last layers alone counts as a place. Nothing without depths.
    """

    def __init__(self, name: str, backbone: nn.Module, depths: bool = False, queries: int = 0) -> None:
        """
        Args:
            name: For messages.
            backbone: Looked through once, on a black image of the size it was trained on.
            depths: Read mean and deviation of the activations of several layers, and the class token if each layer
                hands it on, instead of the pooled output.
            queries: Read its tokens by a decoder with so many queries, instead of the pooled output; 0 for none.

        Raises:
            WeightsError: The backbone gives no vector of features for an image, or cannot be read at its layers.
        """
        super().__init__()
        self.backbone = backbone
        self.depths = depths
        self.decoder: Decoder | None = None
        self._features = _Features(backbone) if depths or queries else nn.Identity()
        self._prefix, self._has_class_token = 0, False
        self._channels_last = str(getattr(backbone, "output_fmt", "")) == "NHWC"
        trained: Any = backbone.pretrained_cfg
        training = backbone.training
        try:
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                backbone.eval()
                image = torch.zeros(1, *trained["input_size"])
                width = self._width_of_tokens(image) if queries else 0
                self.widths = (width,) if queries else self._look_through(image)
        except Exception as error:  # anything that a network may raise
            raise WeightsError(f"The backbone {name} cannot be used, because {first_line(error)}.") from error
        finally:
            backbone.train(training)
        if queries:
            prefix: Any = backbone.num_prefix_tokens
            self.decoder = Decoder(width, prefix, queries)
        self.parts = 3 if self._has_class_token else 2

    def forward(self, crops: Tensor) -> Tensor:
        """Normalised ``(n, 3, crop, crop)`` to ``(n, sum of widths)``."""
        if self.depths:
            return torch.cat(self._read(crops), 1)
        if self.decoder is not None:
            decoded: Tensor = self.decoder(self._features(crops))
            return decoded
        pooled: Tensor = self.backbone(crops)
        return pooled

    def _read(self, crops: Tensor) -> list[Tensor]:
        depths: list[Tensor] = []
        # At once: activations of all layers together would be much to hold, and nowhere to cut between them.
        how = (self._channels_last, self._prefix, self._has_class_token)
        self._listen(crops, lambda layer: depths.append(moments(layer, *how)))
        return depths

    def _listen(self, crops: Tensor, notice: Callable[[Tensor], None]) -> None:
        token = _NOTICE.set(notice)
        try:
            last = self._features(crops)
        finally:
            _NOTICE.reset(token)
        notice(last)

    def _tokens_before_places(self, image: Tensor) -> int:
        """If they are in each layer's output."""
        shapes: list[torch.Size] = []
        self._listen(image, lambda layer: shapes.append(layer.shape))
        alike = len(shapes[-1]) == 3 and all(shape == shapes[-1] for shape in shapes)
        return int(getattr(self.backbone, "num_prefix_tokens", 0)) if alike else 0

    def _width_of_tokens(self, image: Tensor) -> int:
        if getattr(self.backbone, "num_prefix_tokens", 0) < 1:
            raise ValueError("it has no class token for queries")
        return int(self._features(image).shape[2])

    def _look_through(self, image: Tensor) -> tuple[int, ...]:
        if self.depths:
            for layer in _evenly(_layers(self.backbone), MOST_LAYERS):
                self.backbone.get_submodule(layer).register_forward_hook(_leave)
            self._prefix = self._tokens_before_places(image)
            self._has_class_token = self._prefix > 0 and getattr(self.backbone, "cls_token", None) is not None
            return tuple(depth.shape[1] for depth in self._read(image))
        pooled = self(image)
        if not isinstance(pooled, Tensor) or pooled.ndim != 2:
            found = tuple(pooled.shape) if isinstance(pooled, Tensor) else type(pooled).__name__
            raise ValueError(f"it gives {found} for an image and not one vector")
        return (pooled.shape[1],)


def _leave(module: nn.Module, inputs: Any, output: Any) -> None:
    """A layer's output, to the reader that is looking through it, if one is."""
    if notice := _NOTICE.get():
        notice(output)


def _layers(backbone: Any) -> list[str]:
    """The modules that hold what timm calls a layer, in order, without the last, whose output is the backbone's."""
    layers = list(group_parameters(backbone, backbone.group_matcher(coarse=True)).values())
    owners = (commonpath([name.replace(".", "/").rpartition("/")[0] for name in names]) for names in layers[:-1])
    return list(dict.fromkeys(owner.replace("/", ".") for owner in owners if owner))


def _evenly(items: list[str], most: int) -> list[str]:
    if len(items) <= most:
        return items
    return [items[round(place)] for place in np.linspace(0, len(items) - 1, most)]
