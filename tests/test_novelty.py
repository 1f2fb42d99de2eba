from __future__ import annotations

import numpy as np
import pytest
import torch

from ssiqa.krr import KernelRidge
from ssiqa.novelty import Novelty, some_rows


def test_is_the_predictive_deviation_of_the_regression() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 6)).astype(np.float32)
    y = x[:, 0] + 0.2 * rng.normal(size=80)
    new = np.concatenate([x[:5], rng.normal(size=(20, 6)), rng.normal(50, 1, (3, 6))]).astype(np.float32)
    model = KernelRidge().fit(x.astype(np.float64), y, np.arange(80))
    _, std = model.predict(new.astype(np.float64), return_std=True)
    expected = np.sqrt((std / model.scale_) ** 2 + model.alpha_)
    found = Novelty(x, y, np.arange(80), seed=0)(torch.from_numpy(new)).numpy()
    assert found == pytest.approx(expected, rel=2e-3)
    assert found[-3:] == pytest.approx(np.sqrt(1 + model.alpha_), rel=1e-3)


def test_one_row_of_each_group() -> None:
    groups = np.repeat(np.arange(200), 4)
    rows = some_rows(groups, 300, np.random.default_rng(0))
    assert sorted(groups[rows].tolist()) == list(range(200))
    assert (np.diff(rows) > 0).all()
    assert len(some_rows(groups, 10, np.random.default_rng(0))) == 10
    assert np.array_equal(*(some_rows(groups, 10, np.random.default_rng(1)) for _ in range(2)))


def test_several_rows_of_each_group_where_groups_are_few() -> None:
    groups = np.repeat(np.arange(10), [2] + [40] * 9)
    rows = some_rows(groups, 100, np.random.default_rng(0))
    assert np.bincount(groups[rows]).tolist() == [2] + [10] * 9
    assert len(some_rows(np.zeros(50, np.int64), 20, np.random.default_rng(0))) == 20


def test_versions_of_few_contents_do_not_pass_for_knowledge_of_others() -> None:
    """What is chosen predicts contents that were left out: new ones are newer to it than versions of known ones."""
    rng = np.random.default_rng(0)
    contents, groups = rng.normal(size=(14, 20)), np.repeat(np.arange(14), 12)
    x = (contents[groups] + 0.1 * rng.normal(size=(168, 20))).astype(np.float32)
    novelty = Novelty(x, contents[groups, 0] + 0.01 * rng.normal(size=168), groups, seed=0)
    versions = contents[groups[::12]] + 0.1 * rng.normal(size=(14, 20))
    others = rng.normal(size=(14, 20))
    near, far = (novelty(torch.from_numpy(new.astype(np.float32))) for new in (versions, others))
    assert float(far.min()) > 1.5 * float(near.max())
