"""Small pictures, encoded as files are."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

PROGRESSIVE = (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)


def scene(height: int = 48, width: int = 64, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth coloured RGB picture, so that even JPEG keeps it nearly."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 20, 235, cv2.NORM_MINMAX)


def encode(extension: str, pixels: NDArray[np.generic], parameters: tuple[int, ...] = ()) -> bytes:
    """Encodes RGB, RGBA or grey pixels."""
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    opencv = pixels[:, :, [2, 1, 0, 3][:channels]] if channels > 1 else pixels
    done, data = cv2.imencode(extension, np.ascontiguousarray(opencv), parameters)
    assert done
    return data.tobytes()


def write_image(path: Path, seed: int = 0) -> None:
    """Writes a small picture, encoded as the suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(path.suffix.lower(), scene(seed=seed)))
