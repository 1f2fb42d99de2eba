"""Seeded splits: the hold-out of the labelled photos, and the blocks of the unlabelled ones."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssiqa.errors import DataError

# Keeps the streams of random numbers apart that are drawn from one seed.
_HOLDOUT_TAG = 1
_PARTITION_TAG = 2


def holdout_split(groups: ArrayLike, fraction: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Splits photos in two, with each group whole on one side.

    The hold-out has the number of photos nearest to `fraction` that whole groups can make, at least one on each side.

    Args:
        groups: (n,) group of each photo.
        fraction: Share of the photos to hold out, between 0 and 1.
        seed: Not negative.

    Returns:
        Indices of the photos to train on and of those held out, both sorted.

    Raises:
        DataError: There is only one group.
    """
    unique, members, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    if len(unique) < 2:
        raise DataError(
            "All labelled images belong to one group, as copies of one photo do: give photos of at least two groups."
        )
    order = np.random.default_rng([seed, _HOLDOUT_TAG]).permutation(len(unique))
    held = np.zeros(len(unique), dtype=bool)
    held[order[_choose_sizes(sizes[order], fraction)]] = True
    held_out = held[members]
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def partition(n: int, blocks: int, seed: int) -> list[NDArray[np.int64]]:
    """Deals `n` photos at random into blocks whose sizes differ by at most one.

    Returns:
        The sorted indices of each block, larger blocks first.

    Raises:
        DataError: There are fewer photos than blocks.
    """
    if n < blocks:
        raise DataError(f"{n} unlabelled images cannot fill {blocks} blocks: add images or ask for fewer blocks.")
    order = np.random.default_rng([seed, _PARTITION_TAG]).permutation(n)
    return [np.sort(block) for block in np.array_split(order, blocks)]


def _choose_sizes(sizes: NDArray[np.int64], fraction: float) -> list[int]:
    """Chooses positions of `sizes` that add up as near to the fraction of the whole as possible, early ones first.

    Subset sum: `reached_by[total]` is the first position that completes `total`, the rest of which was reached before.
    """
    n = int(sizes.sum())
    target = min(max(round(fraction * n), 1), n - 1)
    reached_by = np.full(n, -1)  # the hold-out never takes all n
    reached = np.zeros(n, dtype=bool)
    reached[0] = True
    for position, size in enumerate(sizes):
        new = np.zeros(n, dtype=bool)
        new[size:] = reached[:-size]
        new &= ~reached
        reached_by[new] = position
        reached |= new
        if reached[target]:
            break
    totals = np.flatnonzero(reached)[1:]
    total = int(totals[np.argmin(np.abs(totals - fraction * n))])
    chosen = []
    while total:
        chosen.append(int(reached_by[total]))
        total -= int(sizes[chosen[-1]])
    return chosen
