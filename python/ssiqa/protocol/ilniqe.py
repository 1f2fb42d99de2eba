"""IL-NIQE: NIQE with colour, gradients and log-Gabor responses, block by block (Zhang et al., 2015)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError
from torch.nn.functional import interpolate

from ssiqa.errors import DataError
from ssiqa.protocol.niqe import asymmetric_gaussians, cut_into_blocks, neighbour_statistics, normalised

TEMPLATE = "ilniqe_templateModel.mat"
SIDE, BLOCK = 524, 84
_LARGEST = 10_000.0
_OPPONENTS = np.array([[0.3, 0.04, -0.35], [0.34, -0.6, 0.17], [0.06, 0.63, 0.27]])
_COLOURS = np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]]) / np.sqrt([[3], [6], [2]])
_WAVES, _ANGLES = 3, 4
_NEWTON = 6

Array = NDArray[np.float64]


@dataclass(frozen=True)
class IlNiqe:
    """The authors' model of pristine images.

    Attributes:
        mean: ``(d,)`` of reduced features of their blocks.
        covariance: ``(d, d)`` of the same.
        centre: ``(468,)`` of all features.
        axes: ``(468, d)`` principal axes to which features are reduced.
    """

    mean: Array
    covariance: Array
    centre: Array
    axes: Array

    @classmethod
    def load(cls, path: Path) -> IlNiqe:
        """From the authors' ``.mat`` file.

        Raises:
            DataError: There is none, or it holds something else.
        """
        try:
            mean, covariance, centre, axes = loadmat(str(path))["templateModel"].ravel()
            return cls(mean.ravel(), covariance, centre.ravel(), axes)
        except (OSError, EOFError, KeyError, ValueError, TypeError, zlib.error, MatReadError) as error:
            raise DataError(f"{path} is missing or holds no model of IL-NIQE.") from error

    def score(self, image: NDArray[np.uint8]) -> float:
        """Of an RGB image ``(height, width, 3)``, 0 or more, the lower the better.

        Raises:
            DataError: It is so flat that fewer than two blocks have statistics; others are left out.
        """
        reduced = (self.features(image) - self.centre) @ self.axes
        whole = np.isfinite(reduced).all(1)
        if whole.sum() < 2:
            raise DataError("An image without texture has no statistics for IL-NIQE.")
        inverse = np.linalg.pinv((np.cov(reduced[whole], rowvar=False) + self.covariance) / 2)
        apart = reduced[whole] - self.mean
        return float(np.sqrt(np.einsum("bi,ij,bj->b", apart, inverse, apart)).mean())

    def features(self, image: NDArray[np.uint8]) -> Array:
        """``(36, 468)``: 234 of each block of the image at 524 by 524 pixels, 234 at half of that."""
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].double()
        resized = interpolate(pixels, size=(SIDE, SIDE), mode="bicubic", antialias=True)[0].numpy()
        side = SIDE // BLOCK * BLOCK
        channels = np.ascontiguousarray(resized.clip(0, 255).round()[:, :side, :side])
        scales = []
        for scale in (1, 2):
            scales.append(np.hstack(list(_of_scale(channels, scale))))
            channels = np.stack([_halved(channel) for channel in channels])
        return np.minimum(np.hstack(scales), _LARGEST)


def _of_scale(channels: Array, scale: int) -> Iterator[Array]:
    """Groups of features of ``(3, h, w)`` channels, ``(blocks, some)`` each, in the order of the authors' model."""
    side = BLOCK // scale
    opponents = np.einsum("oc,chw->ohw", _OPPONENTS, channels)
    deviation = 1.66 / scale**0.28
    responses = [part for wave in _log_gabor(opponents[2], 2.4 / scale**0.87) for part in (wave.real, wave.imag)]
    slopes = [_slopes(plane, deviation) for plane in (*opponents, *responses)]
    steep = [np.hypot(*pair) + np.finfo(np.float64).eps for pair in slopes]
    logs = np.log(channels + 1e-5)
    colours = np.einsum("oc,chw->ohw", _COLOURS, logs - logs.mean((1, 2), keepdims=True))

    yield neighbour_statistics(cut_into_blocks(normalised(opponents[2], _window(5, 5 / 6)), side))
    yield from (likeliest_weibull(cut_into_blocks(plane, side)) for plane in steep[:3])
    for plane in colours:
        blocks = cut_into_blocks(plane, side)
        yield np.stack([blocks.mean((1, 2)), blocks.var((1, 2), ddof=1)], axis=1)
    symmetric = [plane for pair in slopes[:3] for plane in pair]
    symmetric += [*responses, *(plane for pair in slopes[3:] for plane in pair)]
    for plane in symmetric:
        shape, left, right, _ = asymmetric_gaussians(cut_into_blocks(plane, side))
        yield np.stack([shape, (left + right) / 2], axis=1)
    yield from (likeliest_weibull(cut_into_blocks(plane, side)) for plane in steep[3:])


def _slopes(plane: Array, deviation: float) -> tuple[Array, Array]:
    """Across and down, by derivatives of a Gaussian; nothing lies beyond the borders."""
    reach = int(np.ceil(3 * deviation))
    steps = np.arange(-reach, reach + 1, dtype=np.float64)
    bell = np.exp(-(steps**2) / (2 * deviation**2))

    def filtered(across: Array, down: Array) -> Array:
        return np.asarray(cv2.sepFilter2D(plane, cv2.CV_64F, across, down, borderType=cv2.BORDER_CONSTANT))

    return filtered(steps * bell, bell), filtered(bell, steps * bell)


def _log_gabor(plane: Array, shortest: float) -> Iterator[NDArray[np.complex128]]:
    """Complex responses, for each wavelength those of four directions."""
    down, across = np.meshgrid(*(np.fft.fftfreq(length) for length in plane.shape), indexing="ij")
    radius, direction = np.hypot(across, down), np.arctan2(-down, across)
    radius[0, 0] = 1
    spectrum = np.fft.fft2(plane)
    for wave in range(_WAVES):
        band = np.exp(-(np.log(radius * shortest * 1.31**wave) ** 2) / (2 * np.log(0.55) ** 2))
        band[0, 0] = 0
        for angle in np.arange(_ANGLES) * np.pi / _ANGLES:
            apart = np.abs(np.angle(np.exp(1j * (direction - angle))))
            spread = np.exp(-(apart**2) / (2 * (np.pi / _ANGLES / 1.1) ** 2))
            yield np.fft.ifft2(spectrum * band * spread)


def likeliest_weibull(blocks: Array) -> Array:
    """``(n, side, side)`` positive values to ``(n, 2)``: scale and shape of the likeliest Weibull distribution."""
    logs = np.log(blocks.reshape(len(blocks), -1))
    largest, mean = logs.max(1, keepdims=True), logs.mean(1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        shape = 1.2 / logs.std(1)
        for _ in range(_NEWTON):
            weights = np.exp(shape[:, None] * (logs - largest))
            total = weights.sum(1)
            first, second = ((weights * logs**power).sum(1) / total for power in (1, 2))
            error, slope = 1 / shape + mean - first, -1 / shape**2 - (second - first**2)
            shape = np.maximum(shape - error / slope, shape / 2)
        power = np.exp(shape[:, None] * (logs - largest)).mean(1)
        return np.stack([np.exp(largest[:, 0] + np.log(power) / shape), shape], axis=1)


def _window(side: int, deviation: float) -> Array:
    steps = np.arange(side) - (side - 1) / 2
    bell = np.exp(-(steps**2) / (2 * deviation**2))
    window: Array = np.outer(bell, bell) / bell.sum() ** 2
    return window


def _halved(plane: Array) -> Array:
    smooth = cv2.filter2D(plane, cv2.CV_64F, _window(6, 0.9), anchor=(2, 2), borderType=cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(smooth[::2, ::2])
