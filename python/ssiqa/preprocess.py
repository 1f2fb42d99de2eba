"""From uint8 photos to normalised crops, the same way in training and inside the exported scorer.

Everything here is traceable: sizes are computed with tensor arithmetic, so that one trace serves every image size.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LONGEST_OVER_SHORTEST = 4
"""Panoramas beyond 4:1 are squeezed to 4:1, which bounds the working image whatever the input."""


@dataclass(frozen=True)
class Preprocess:
    """How a backbone sees a photo.

    Attributes:
        short_side: Photos are resized, antialiased and in proportion, until their shorter side has this many pixels.
        crop: Side of the square crops that the backbone takes, in pixels; at most ``short_side``.
        grid: Scoring sees ``grid * grid`` crops, evenly spread from border to border; 0: as few as cover the photo.
        whole: Scoring sees the photo at once instead, whatever its shape.
        mean: Per-channel mean of the normalisation, on a 0..1 scale.
        std: Per-channel standard deviation of the normalisation, on a 0..1 scale.
    """

    short_side: int
    crop: int
    grid: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    whole: bool = False

    @classmethod
    def for_backbone(cls, backbone: nn.Module, short_side: int, grid: int, whole: bool = False) -> Preprocess:
        """Crop size and normalisation as a timm backbone was trained; the working resolution is at least the crop."""
        trained: Any = backbone.pretrained_cfg
        crop = trained["input_size"][-1]
        return cls(max(short_side, crop), crop, grid, tuple(trained["mean"]), tuple(trained["std"]), whole)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def working_images(self, images: Tensor) -> Tensor:
        """uint8 ``(n, H, W, 3)`` to ``(n, 3, h, w)``, the shorter side ``short_side`` pixels long.

        The values are whole numbers in 0..255, in float32, so that a uint8 copy kept for training loses nothing.
        """
        pixels = images.permute(0, 3, 1, 2).float()
        height, width = torch.as_tensor(images.shape[1]), torch.as_tensor(images.shape[2])
        shorter = torch.minimum(height, width)
        size = [self._resized(side, shorter) for side in (height, width)]
        resized = F.interpolate(pixels, size=size, mode="bilinear", antialias=True)  # type: ignore[arg-type]
        return resized.round()

    def _resized(self, side: Tensor, shorter: Tensor) -> Tensor:
        # Integer arithmetic, rounding half up: no platform and no tracer can round it differently.
        scaled = (2 * self.short_side * side + shorter) // (2 * shorter)
        return torch.clamp(scaled, max=LONGEST_OVER_SHORTEST * self.short_side)

    def places(self, height: int, width: int) -> list[tuple[int, int]]:
        """Top left corners of the scoring crops of a working image, row by row."""
        return [(top, left) for top in self._offsets(height) for left in self._offsets(width)]

    def _offsets(self, side: int) -> list[int]:
        if self.grid == 0:
            return list(range(0, side - self.crop + 1, int(self._step(torch.as_tensor(side)))))
        return [int(offset) for offset in self._grid_offsets(torch.as_tensor(side))]

    def grid_rows(self, working: Tensor) -> list[Tensor]:
        """``(n, 3, h, w)`` to the scoring crops ``(places * n, 3, crop, crop)``, row by row; all of them in one tensor
        where their number depends on the image's shape, and the images themselves where these are seen whole.

        In it, the crops of all images at one place follow each other, from left to right.
        """
        if self.whole:
            return [working]
        if self.grid == 0:
            for axis in (2, 3):
                working = working.unfold(axis, self.crop, self._step(torch.as_tensor(working.shape[axis])))  # type: ignore[arg-type]
            return [working.permute(2, 3, 0, 1, 4, 5).flatten(0, 2)]
        tops = self._grid_offsets(torch.as_tensor(working.shape[2]))
        lefts = self._grid_offsets(torch.as_tensor(working.shape[3]))
        rows = [working.narrow(2, top, self.crop) for top in tops]
        return [torch.cat([row.narrow(3, left, self.crop) for left in lefts]) for row in rows]

    def _step(self, side: Tensor) -> Tensor:
        """From crop to crop, so that as few as cover a side reach from border to border, but for a pixel each."""
        further = (side - 1) // self.crop
        return torch.clamp((side - self.crop) // torch.clamp(further, min=1), min=1)

    def _grid_offsets(self, side: Tensor) -> list[Tensor]:
        room = side - self.crop
        if self.grid == 1:
            return [room // 2]
        return [(room * step) // (self.grid - 1) for step in range(self.grid)]

    def normalize(self, images: Tensor) -> Tensor:
        """Working images or crops in 0..255 to the backbone's channels-last input.

        Plain numbers rather than a tensor of means: a trace would bind such a tensor to the device it was made on.
        """
        channels = [
            (images[:, channel] - 255 * mean) / (255 * std)
            for channel, (mean, std) in enumerate(zip(self.mean, self.std, strict=True))
        ]
        return torch.stack(channels, dim=1).contiguous(memory_format=torch.channels_last)
