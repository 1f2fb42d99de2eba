"""The selection against a stable argsort, in one call, over chunks and over merged shards."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ssiqa import kernels
from ssiqa.kernels import SmallestDifference

DTYPES = [np.float32, np.float64]
differences = st.one_of(st.sampled_from([0.0, -0.0, 1.0, 2.0, np.nan, np.inf, -np.inf]), st.floats(width=32))


@given(st.data(), st.sampled_from(DTYPES))
@settings(max_examples=150, deadline=None)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, about infinity minus infinity
def test_selection_is_a_stable_argsort(data: st.DataObject, dtype: Any) -> None:
    n = data.draw(st.integers(0, 60))
    pred = data.draw(hnp.arrays(dtype, n, elements=differences))
    target = data.draw(hnp.arrays(dtype, n, elements=differences))
    k = data.draw(st.integers(0, n))
    difference = np.abs(pred - target)
    expected = np.argsort(difference, kind="stable")[:k]
    chosen = kernels.smallest_difference(pred, target, k)
    assert chosen.dtype == np.int64
    assert chosen.tolist() == expected.tolist()


@given(st.data(), st.sampled_from(DTYPES))
@settings(max_examples=150, deadline=None)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, about infinity minus infinity
def test_any_chunks_and_any_order_of_merging(data: st.DataObject, dtype: Any) -> None:
    n = data.draw(st.integers(0, 60))
    pred = data.draw(hnp.arrays(dtype, n, elements=differences))
    target = data.draw(hnp.arrays(dtype, n, elements=differences))
    k = data.draw(st.integers(0, n + 3))
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=4)))
    shards = []
    for begin, end in zip([0, *cuts], [*cuts, n], strict=True):
        shard = SmallestDifference(k, offset=begin)
        middle = data.draw(st.integers(begin, end))
        for part in (slice(begin, middle), slice(middle, end)):
            shard.update(pred[part], target[part])
        shards.append(shard)
    while len(shards) > 1:
        other = shards.pop(data.draw(st.integers(0, len(shards) - 1)))
        shards[data.draw(st.integers(0, len(shards) - 1))].merge(other)
    difference = np.abs(pred - target)
    expected = np.argsort(difference, kind="stable")[:k]
    assert shards[0].indices.tolist() == expected.tolist()
    np.testing.assert_array_equal(shards[0].differences, difference[expected])
    assert shards[0].differences.dtype == dtype
    assert shards[0].nan_count == np.isnan(difference).sum()
    assert shards[0].seen == n


def test_shards_that_do_not_fit() -> None:
    single, double, wide = SmallestDifference(2), SmallestDifference(2), SmallestDifference(3)
    single.update(np.ones(3, np.float32), np.ones(3, np.float32))
    double.update(np.ones(3), np.ones(3))
    with pytest.raises(TypeError, match="one dtype, but saw float32 and float64"):
        single.merge(double)
    with pytest.raises(TypeError, match="one dtype, but saw float64 and float32"):
        double.update(np.ones(3, np.float32), np.ones(3, np.float32))
    with pytest.raises(ValueError, match="these keep 2 and 3"):
        single.merge(wide)
    with pytest.raises(ValueError, match="must not be negative, but they are -1 and 0"):
        SmallestDifference(-1)


def test_shards_that_overlap() -> None:
    values = np.arange(6.0)
    whole, early, late = SmallestDifference(2), SmallestDifference(2, offset=1), SmallestDifference(2, offset=6)
    whole.update(values, np.zeros(6))
    early.update(values[:2], np.ones(2))
    late.update(values, np.zeros(6))
    with pytest.raises(ValueError, match="index 1 was seen twice"):
        whole.merge(early)
    with pytest.raises(ValueError, match="index 0 was seen twice"):
        whole.merge(whole)
    whole.merge(late)
    with pytest.raises(ValueError, match="index 6 was seen twice"):
        whole.update(values, np.zeros(6))  # the merged shard has been there
    assert (whole.seen, whole.indices.tolist()) == (12, [0, 6])
    early.update(values[2:4], np.zeros(2))  # up to index 4, and then another shard follows without a gap
    assert (early.seen, early.differences.tolist()) == (4, [0.0, 1.0])


@given(st.integers(0, 2**32 - 1), st.sampled_from(DTYPES), st.integers(1, 30_000), st.integers(1, 20_000))
@settings(max_examples=25, deadline=None)
def test_long_streams(seed: int, dtype: Any, chunk: int, k: int) -> None:
    random = np.random.default_rng(seed)
    pred = random.integers(0, 2_000, 30_000).astype(dtype)
    target = np.sort(pred)[:: random.choice([-1, 1])] * dtype(random.choice([0, 1]))  # rising or falling, or as it is
    selection = SmallestDifference(k)
    for begin in range(0, 30_000, chunk):
        selection.update(pred[begin : begin + chunk], target[begin : begin + chunk])
    expected = np.argsort(np.abs(pred - target), kind="stable")[:k]
    assert np.array_equal(selection.indices, expected)


def test_two_threads_on_one_selection() -> None:
    selection = SmallestDifference(100)
    selection.update(np.ones(10), np.zeros(10))
    others = [SmallestDifference(100, offset=10 + 1000 * i) for i in range(40)]
    for other in others:
        other.update(np.linspace(1, 2, 1000), np.zeros(1000))
    state = selection._state
    with ThreadPoolExecutor(4) as pool:  # the native state, because the wrapper's ranges are not for two threads
        list(pool.map(lambda other: state.merge(other._state), others))
    assert state.size == 100


def test_two_threads_on_the_ranges() -> None:
    selection = SmallestDifference(1000)
    chunk = np.ones(1_000_000), np.zeros(1_000_000)
    shards = [SmallestDifference(1000, offset=10**9 * (i + 1)) for i in range(20)]
    for shard in shards:
        shard.update(*chunk)

    def add(shard: SmallestDifference) -> None:
        selection.update(*chunk)
        selection.merge(shard)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, shards))
    assert selection.seen == 40_000_000
    assert selection.indices.tolist() == list(range(1000))


def test_two_threads_that_merge_each_other() -> None:
    for _ in range(200):
        pair = SmallestDifference(2), SmallestDifference(2, offset=2)
        for shard in pair:
            shard.update(np.ones(2), np.zeros(2))
        with ThreadPoolExecutor(2) as pool:
            merges = [pool.submit(one.merge, other) for one, other in (pair, pair[::-1])]
        assert sorted(merge.exception() is None for merge in merges) == [False, True]


def test_a_chunk_that_is_refused_leaves_no_trace() -> None:
    """Not even its dtype."""
    selection = SmallestDifference(1)
    with pytest.raises(TypeError):
        selection.update(np.ones(3, np.float32), np.ones(3))
    assert selection.seen == 0
    selection.update(np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    assert (selection.indices.tolist(), selection.differences.dtype) == ([0], np.float64)


def test_nothing_seen_and_torch() -> None:
    selection = SmallestDifference(2)
    selection.merge(SmallestDifference(2))
    assert (selection.indices.tolist(), selection.nan_count, selection.seen) == ([], 0, 0)
    selection.update(torch.tensor([1.0, 4.0, 2.0]), torch.zeros(3))
    assert torch.equal(selection.indices, torch.tensor([0, 2]))
    assert torch.equal(selection.differences, torch.tensor([1.0, 2.0]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_selection_of_many_ties(dtype: Any) -> None:
    random = np.random.default_rng(0)
    pred, target = random.integers(0, 50, (2, 400_000)).astype(dtype)
    pred[::1001] = np.nan
    for k in (0, 1, 4000, 400_000):
        expected = np.argsort(np.abs(pred - target), kind="stable")[:k]
        assert np.array_equal(kernels.smallest_difference(pred, target, k), expected)


@pytest.mark.parametrize("step", range(2, 20))
def test_selection_where_a_regular_sample_misleads(step: int) -> None:
    difference = np.random.default_rng(0).uniform(1, 2, 20_000)
    difference[::step] = 0
    expected = np.argsort(difference, kind="stable")[:15_000]
    assert np.array_equal(kernels.smallest_difference(difference, np.zeros(20_000), 15_000), expected)
