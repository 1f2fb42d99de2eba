"""Real distortions of photographs, each from hardly visible (strength 0) to severe (strength 1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Distortion = Callable[[Image, float, np.random.Generator], Image]


def jpeg(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """JPEG, from quality 70 down to 3."""
    return _recode(image, ".jpg", cv2.IMWRITE_JPEG_QUALITY, round(_between(70, 3, strength)))


def gaussian_blur(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Gaussian blur, with a standard deviation from 0.6 to 6 pixels."""
    return _bytes(cv2.GaussianBlur(image, (0, 0), _between(0.6, 6, strength)))


def white_noise(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """White Gaussian noise in each channel, with a standard deviation from 4 to 70."""
    return _bytes(image + rng.normal(0, _between(4, 70, strength), image.shape))


def low_contrast(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Less contrast around the mean of the image, from 90 % to 25 %."""
    mean = image.mean(axis=(0, 1))
    return _bytes(mean + (image - mean) * _between(0.9, 0.25, strength))


def jpeg2000(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """JPEG 2000, from a tenth of the size to a three-hundredth."""
    return _recode(image, ".jp2", cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, round(1000 / _between(10, 300, strength)))


def defocus(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """The disc of a lens out of focus, with a radius from 1 to 10 pixels."""
    radius = _between(1, 10, strength)
    reach = np.arange(-np.ceil(radius), np.ceil(radius) + 1)
    distance = np.hypot(*np.meshgrid(reach, reach))
    return _filter(image, np.clip(radius + 0.5 - distance, 0, 1))


def motion_blur(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """A straight movement in a random direction, from 3 to 35 pixels long."""
    length, angle = _between(3, 35, strength), rng.uniform(0, np.pi)
    side = 2 * int(np.ceil(length / 2)) + 3
    half = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    # Ends in sixteenths of a pixel, so that the length grows smoothly.
    ends = [tuple(np.round((side // 2 + sign * half) * 16).astype(int).tolist()) for sign in (-1, 1)]
    path = cv2.line(np.zeros((side, side), np.uint8), ends[0], ends[1], 255, 1, cv2.LINE_AA, shift=4)
    return _filter(image, path)


def poisson_noise(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Photon noise, with white at 800 photons down to 4."""
    photons = _between(800, 4, strength) / 255
    return _bytes(rng.poisson(image * photons) / photons)


def rescale(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Made smaller and larger again, by a factor from 1.3 to 10."""
    height, width = image.shape[:2]
    factor = _between(1.3, 10, strength)
    small = cv2.resize(image, (round(width / factor), round(height / factor)), interpolation=cv2.INTER_AREA)
    return _bytes(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))


def _between(mild: float, severe: float, strength: float) -> float:
    """Geometric, because what one sees is the ratio of two strengths and not their difference."""
    return float(mild * (severe / mild) ** strength)


def _recode(image: Image, extension: str, parameter: int, value: int) -> Image:
    _, data = cv2.imencode(extension, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (parameter, value))
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), dtype=np.uint8)


def _filter(image: Image, kernel: NDArray[Any]) -> Image:
    return _bytes(cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT))


def _bytes(values: NDArray[Any]) -> Image:
    rounded: Image = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded
