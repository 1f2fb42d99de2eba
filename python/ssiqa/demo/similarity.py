"""How much an image looks like its original, as far as a formula can tell."""

import cv2
import numpy as np
from numpy.typing import NDArray

_SCALES = 3
_WINDOW = 7


def similarity(original: NDArray[np.uint8], distorted: NDArray[np.uint8]) -> float:
    """Product of the weighted SSIM of the luminance at full, half and quarter size, from 0 to 100 (identical).

    The smaller sizes forgive fine noise and punish strong blur, as eyes at some distance do. The weight is the local
    contrast of the busier image, so that an empty sky says nothing and scores of different scenes can be compared.
    """
    product = 1.0
    first, second = (_luminance(image) for image in (original, distorted))
    for _ in range(_SCALES):
        product *= max(_weighted_ssim(first, second), 0)
        first, second = _halve(first), _halve(second)
    return 100 * product


def _luminance(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.float32)


def _halve(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _weighted_ssim(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    from skimage.metrics import structural_similarity  # only `ssiqa demo` needs it

    _, ssim = structural_similarity(first, second, win_size=_WINDOW, data_range=255, full=True)  # type: ignore[no-untyped-call]
    return float(np.average(ssim, weights=1 + np.maximum(_local_contrast(first), _local_contrast(second))))


def _local_contrast(image: NDArray[np.float32]) -> NDArray[np.float32]:
    window = (_WINDOW, _WINDOW)
    variance = cv2.blur(image * image, window) - cv2.blur(image, window) ** 2
    return np.asarray(np.sqrt(np.maximum(variance, 0)), dtype=np.float32)
