"""A generator for each random choice around the network, named by what it decides and never by who makes it.

Splits (``data/split.py``) and the demo's distortions seed their own by numbers, which no photo or epoch changes.
"""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, *key: str | int) -> np.random.Generator:
    """A generator that depends on ``seed`` and ``key`` alone: not on workers, batches or what was drawn before.

    Example:
        >>> bool(generator(0, "crop", 3, 7).integers(1 << 30) == generator(0, "crop", 3, 7).integers(1 << 30))
        True
    """
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key]
    return np.random.default_rng([seed, *words])
