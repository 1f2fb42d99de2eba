"""Splits: seeded, whole groups, as near to the share as they can be."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssiqa.data import holdout_split, partition
from ssiqa.errors import DataError


@given(st.lists(st.integers(0, 6), min_size=2, max_size=30), st.floats(0.05, 0.95), st.integers(0, 5))
def test_holdout_has_whole_groups_and_the_nearest_size(groups: list[int], fraction: float, seed: int) -> None:
    unique, sizes = np.unique(groups, return_counts=True)
    if len(unique) < 2:
        return
    train, holdout = holdout_split(groups, fraction, seed)
    assert sorted([*train, *holdout]) == list(range(len(groups)))
    assert train.tolist() == sorted(train)
    assert holdout.tolist() == sorted(holdout)
    labels = np.array(groups)
    assert not set(labels[train]) & set(labels[holdout])
    possible = {
        sum(chosen) for count in range(1, len(sizes)) for chosen in itertools.combinations(sizes.tolist(), count)
    }
    target = fraction * len(groups)
    assert abs(len(holdout) - target) == pytest.approx(min(abs(size - target) for size in possible), abs=0.5 + 1e-9)


def test_holdout_of_single_photos_is_exact_and_seeded() -> None:
    splits = [holdout_split(np.arange(1000), 0.2, seed) for seed in (0, 0, 1)]
    assert [len(holdout) for _, holdout in splits] == [200, 200, 200]
    np.testing.assert_array_equal(splits[0][1], splits[1][1])
    assert not np.array_equal(splits[0][1], splits[2][1])
    assert splits[0][1].dtype == np.int64


def test_every_group_can_be_held_out() -> None:
    held = {int(row) for seed in range(100) for row in holdout_split(np.arange(10), 0.2, seed)[1]}
    assert held == set(range(10))


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(DataError, match="belong to one group"):
        holdout_split([3, 3, 3], 0.2, 0)


@given(st.integers(1, 40), st.integers(1, 10), st.integers(0, 3))
def test_partition_deals_every_photo_once(n: int, blocks: int, seed: int) -> None:
    if n < blocks:
        with pytest.raises(DataError, match=f"{n} unlabelled images cannot fill {blocks} blocks"):
            partition(n, blocks, seed)
        return
    parts = partition(n, blocks, seed)
    assert len(parts) == blocks
    assert sorted(np.concatenate(parts)) == list(range(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert all(part.tolist() == sorted(part) for part in parts)
    assert all(part.dtype == np.int64 for part in parts)


def test_partition_is_seeded() -> None:
    first, again, other = (partition(100, 3, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
