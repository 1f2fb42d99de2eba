"""Which photos of a block are alike."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from ssiqa import kernels
from ssiqa.seeding import generator

LINKED = 2048
"""Photos that are linked, at most."""
LEVELS = 2
"""Times that neighbours are linked: pairs and short chains of photos, and then those of their centres."""


def neighbourhoods(features: Tensor, seed: int) -> NDArray[np.int64]:
    """Numbers of the neighbourhoods that photos are in, by what they look like: two or more.

    Each photo is linked to the one nearest to it, and what hangs together is a neighbourhood; then the same of the
    centres of those (Sarfraz, Sharma and Stiefelhagen, "Efficient parameter-free clustering using first neighbor
    relations", CVPR 2019). So there is no distance to choose at which photos are alike.

    Args:
        features: ``(n, d)`` float32, n at least 2.
        seed: Picks those that are linked, of more than ``LINKED``; others are where the nearest of them is.
    """
    order = generator(seed, "neighbourhoods").permutation(len(features))
    linked, others = features[order[:LINKED]], order[LINKED:]
    found = np.arange(len(linked))
    for _ in range(LEVELS):
        coarser = _hang_together(_centres(linked, found))[found]
        if coarser.max() == 0:
            break
        found = coarser
    numbers = np.empty(len(features), np.int64)
    numbers[order[:LINKED]] = found
    for start in range(0, len(others), LINKED):
        rows = others[start : start + LINKED]
        nearest = kernels.squared_distances(features[rows], linked).argmin(dim=1)
        numbers[rows] = found[nearest.cpu().numpy()]
    return numbers


def _centres(rows: Tensor, numbers: NDArray[np.int64]) -> Tensor:
    """``(m, d)`` means of rows, by number."""
    of = torch.from_numpy(numbers).to(rows.device)
    count = torch.bincount(of)
    # In float64, because a GPU adds in any order.
    sums = torch.zeros(len(count), rows.shape[1], dtype=torch.float64, device=rows.device)
    return (sums.index_add_(0, of, rows.double()) / count[:, None]).to(rows.dtype)


def _hang_together(rows: Tensor) -> NDArray[np.int64]:
    """``(n,)`` numbers of what hangs together where each row is linked to the nearest other one."""
    distances = kernels.squared_distances(rows, rows).fill_diagonal_(torch.inf)
    n, nearest = len(rows), distances.argmin(dim=1).cpu().numpy()
    links = coo_array((np.ones(n), (np.arange(n), nearest)), shape=(n, n))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)
