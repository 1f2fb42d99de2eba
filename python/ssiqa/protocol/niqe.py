"""NIQE: how far the local statistics of an image are from those of pristine ones (Mittal et al., 2013)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import gamma
from torch.nn.functional import interpolate

from ssiqa.errors import DataError

PARAMETERS = "niqe_pris_params.npz"
BLOCK = 96
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
_SHAPES = np.arange(0.2, 10.001, 0.001)
_RATIOS = gamma(2 / _SHAPES) ** 2 / (gamma(1 / _SHAPES) * gamma(3 / _SHAPES))
_LUMA = np.array([0.298936021293775, 0.587043074451121, 0.114020904255103])
_REACH = 4


@dataclass(frozen=True)
class Niqe:
    """The authors' model of pristine images.

    Attributes:
        mean: ``(36,)`` of features of their blocks.
        covariance: ``(36, 36)`` of the same.
        window: ``(7, 7)`` weights of the local mean.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    window: NDArray[np.float64]

    @classmethod
    def load(cls, path: Path) -> Niqe:
        """From a ``.npz`` file with ``mu_pris_param``, ``cov_pris_param`` and ``gaussian_window``.

        Raises:
            DataError: There is none, or it holds something else.
        """
        try:
            with np.load(path) as kept:
                return cls(kept["mu_pris_param"].ravel(), kept["cov_pris_param"], kept["gaussian_window"])
        except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
            raise DataError(f"{path} is missing or holds no parameters of NIQE.") from error

    def score(self, image: NDArray[np.uint8]) -> float:
        """Of an RGB image ``(height, width, 3)``, 0 or more, the lower the better.

        Raises:
            DataError: It is smaller than two blocks of 96 pixels.
        """
        features = self.features(image) if min(image.shape[:2]) >= BLOCK else np.empty((0, 36))
        features = features[np.isfinite(features).all(1)]  # flat blocks have no statistics
        if len(features) < 2:
            raise DataError(f"An image of {image.shape[1]} by {image.shape[0]} pixels has too few blocks for NIQE.")
        apart = features.mean(0) - self.mean
        spread = (np.cov(features, rowvar=False) + self.covariance) / 2
        return float(np.sqrt(apart @ np.linalg.pinv(spread) @ apart))

    def features(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """``(blocks, 36)``: 18 at full size, 18 at half of it."""
        height, width = (side // BLOCK * BLOCK for side in image.shape[:2])
        grey = np.floor(image[:height, :width] @ _LUMA + 0.5)  # MATLAB's rgb2gray, whose greys are whole numbers
        scales = ((grey, BLOCK), (_halved(grey), BLOCK // 2))
        blocks = [cut_into_blocks(normalised(values, self.window), side) for values, side in scales]
        return np.hstack([neighbour_statistics(of_scale) for of_scale in blocks])


def _halved(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    """MATLAB's ``imresize``, by which the authors' model was made: beyond the borders lies the mirror image."""
    mirrored = torch.from_numpy(np.pad(grey, _REACH, mode="symmetric"))
    found = interpolate(mirrored[None, None], scale_factor=0.5, mode="bicubic", antialias=True)[0, 0].numpy()
    return found[_REACH // 2 : -_REACH // 2, _REACH // 2 : -_REACH // 2]


def normalised(values: NDArray[np.float64], window: NDArray[np.float64]) -> NDArray[np.float64]:
    """Locally without mean and contrast."""
    mean, power = (cv2.filter2D(of, cv2.CV_64F, window, borderType=cv2.BORDER_REPLICATE) for of in (values, values**2))
    found: NDArray[np.float64] = (values - mean) / (np.sqrt(np.abs(power - mean**2)) + 1)
    return found


def cut_into_blocks(values: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """``(rows * side, columns * side)`` to ``(rows * columns, side, side)``."""
    rows, columns = (length // side for length in values.shape)
    cut: NDArray[np.float64] = values.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)
    return cut


def neighbour_statistics(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(n, side, side)`` to ``(n, 18)``: shape and width of the values, and of their products with four neighbours."""
    shape, left, right, _ = asymmetric_gaussians(blocks)
    found = [shape, (left + right) / 2]
    for shift in _NEIGHBOURS:
        shape, left, right, mean = asymmetric_gaussians(blocks * np.roll(blocks, shift, (1, 2)))
        found += [shape, mean, left, right]
    return np.stack(found, axis=1)


def asymmetric_gaussians(blocks: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Generalised Gaussians with two widths, by their moments: shape, left and right width, mean, ``(n,)`` each.

    Source: Lasmar et al., "Multiscale skewed heavy tailed model for texture analysis" (2009).
    """
    values = blocks.reshape(len(blocks), -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        left, right = (np.sqrt((values**2).sum(1, where=side) / side.sum(1)) for side in (values < 0, values > 0))
        skew = left / right
        ratio = np.abs(values).mean(1) ** 2 / (values**2).mean(1)
        ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shape = np.interp(ratio, _RATIOS, _SHAPES)
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * scale, right * scale, (right - left) * scale * gamma(2 / shape) / gamma(1 / shape)
