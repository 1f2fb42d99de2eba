"""How much an image looks like its original, as far as a formula can tell."""

import cv2
import numpy as np
from numpy.typing import NDArray

_SCALES = 3


def similarity(original: NDArray[np.uint8], distorted: NDArray[np.uint8]) -> float:
    """Product of the SSIM of the luminance at full, half and quarter size, from 0 to 100 (identical).

    The smaller sizes forgive fine noise and punish strong blur, as eyes at some distance do; SSIM at full size alone
    ranks any noise below any blur.
    """
    from skimage.metrics import structural_similarity  # only `ssiqa demo` needs it

    product = 1.0
    first, second = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (original, distorted))
    for _ in range(_SCALES):
        product *= max(float(structural_similarity(first, second)), 0)  # type: ignore[no-untyped-call]
        first, second = (
            cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for image in (first, second)
        )
    return 100 * product
