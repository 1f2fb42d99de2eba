"""The rows that all benchmarks are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LATENT = 24


def features(n: int, d: int, dtype: Any = np.float32, seed: int = 0) -> NDArray[Any]:
    """Standardised features that hang together, as a network's do: latent directions and noise of the same size."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(d).standard_normal((LATENT, d)) / np.sqrt(2 * LATENT)
    noise = random.standard_normal((n, d)) / np.sqrt(2)
    return (random.standard_normal((n, LATENT)) @ mixing + noise).astype(dtype)


def targets(x: NDArray[Any], seed: int = 0) -> NDArray[Any]:
    """Opinion scores of the rows: a smooth function of a few features, and what raters disagree on."""
    random = np.random.default_rng(seed)
    smooth = np.tanh(x[:, :8].astype(np.float64).sum(axis=1) / 4)
    return (smooth + 0.1 * random.standard_normal(len(x))).astype(x.dtype)


def vector(n: int, dtype: Any = np.float32, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).standard_normal(n).astype(dtype)
