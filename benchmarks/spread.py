"""How tables say what came of several seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def over_seeds(values: Sequence[float], digits: int = 3) -> str:
    """Mean ± standard deviation (of a sample); the mean alone where no seed has a part in it, or there is but one."""
    mean = f"{np.mean(values):.{digits}f}"
    if len(values) < 2 or np.ptp(values) < 1e-9:
        return mean
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}"
