"""SDK-Sample: the photos on which the model agrees best with the label, kept for replay."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssiqa import kernels


def exemplars(predictions: Tensor, labels: NDArray[np.float64], every: int) -> NDArray[np.int64]:
    """Rows of the ``ceil(n / every)`` smallest ``|prediction - label|``, the smallest first; none if ``every`` is 0.

    Source: the paper, section "SDK - Sample", where ``every`` is K1 or K2.

    They are found where the predictions are.

    Example:
        >>> exemplars(torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64), np.array([0.5, 1.1, 9.0]), every=2).tolist()
        [1, 0]
    """
    if every == 0:
        return np.empty(0, dtype=np.int64)
    wanted = torch.from_numpy(labels).to(predictions.device)
    return np.asarray(kernels.smallest_difference(predictions, wanted, -(-len(labels) // every)).cpu())
