"""Photos at working resolution: decoded once, and kept on disk for as long as there is room."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ssiqa.cache import Cache
from ssiqa.data import Photo, decode_image, read_bytes
from ssiqa.errors import DataError
from ssiqa.preprocess import Preprocess
from ssiqa.profile import Profile

MADE_BY = f"OpenCV {cv2.__version__}, torch {torch.__version__}"
"""Other versions may decode or resize otherwise than the exported scorer, which runs on the installed ones."""


class Photos:
    """Working images of photos.

    Attributes:
        preprocess: The working resolution.
        cache: Where working images are kept.
        profile: Told of the time that decoding takes.
    """

    def __init__(self, preprocess: Preprocess, cache: Cache, profile: Profile) -> None:
        self.preprocess = preprocess
        self.cache = cache
        self.profile = profile

    def admit(self, photo: Photo, data: bytes) -> None:
        """See that the bytes of a photo can be used: decode them, unless the cache holds what comes of it.

        Raises:
            ImageError: They cannot be decoded.
        """
        if not self.cache.use(self._key(photo)):
            self._make(photo, data)

    def working(self, photo: Photo) -> NDArray[np.uint8]:
        """The photo as ``(h, w, 3)`` RGB, its shorter side ``preprocess.short_side`` pixels long; read-only.

        Raises:
            DataError: The file is no longer what it was when it was admitted.
        """
        with self.profile.stage("cache"):
            kept = self.cache.get(self._key(photo))
        if kept is not None:
            return kept
        data = read_bytes(photo.path)
        if hashlib.sha256(data).digest() != photo.digest:
            raise DataError(f"{photo.path} has changed since the run began: start the run again.")
        return self._make(photo, data)

    def _make(self, photo: Photo, data: bytes) -> NDArray[np.uint8]:
        with self.profile.stage("decode", images=1):
            pixels = torch.from_numpy(decode_image(data, str(photo.path)))
            working = self.preprocess.working_images(pixels[None])[0]
            image: NDArray[np.uint8] = working.permute(1, 2, 0).to(torch.uint8).contiguous().numpy()
        with self.profile.stage("cache"):
            self.cache.put(self._key(photo), image)
        return image

    def _key(self, photo: Photo) -> str:
        recipe = f"working image 1, short side {self.preprocess.short_side}, {MADE_BY}"
        return hashlib.sha256(photo.digest + recipe.encode()).hexdigest()
