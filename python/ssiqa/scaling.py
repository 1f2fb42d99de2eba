"""Targets of any size, brought to about 1: squares of them would overflow or vanish."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Scaled(NamedTuple):
    """y = mean + values * 2^exponent, where the largest of |values| is from 1/2 to 1, or all are 0.

    A power of two moves no digit, so that results do not depend on the unit of y.
    """

    mean: float
    values: Floats
    exponent: int


def centred(y: Floats) -> Scaled:
    """Take the mean from (n,) finite targets and scale what is left.

    Example:
        >>> centred(np.array([1.0, 3.0]))
        Scaled(mean=2.0, values=array([-0.5,  0.5]), exponent=1)
    """
    size = _exponent(y)
    near_one = np.ldexp(y, -size)  # a sum of large targets would overflow
    mean = near_one.mean()
    values = near_one - mean
    spread = _exponent(values)
    return Scaled(float(np.ldexp(mean, size)), np.ldexp(values, -spread), size + spread)


def _exponent(values: Floats) -> int:
    return int(np.frexp(np.abs(values).max())[1])
