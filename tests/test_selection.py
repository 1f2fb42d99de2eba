"""The selection against a stable argsort, in one call, over chunks and over merged shards."""

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
