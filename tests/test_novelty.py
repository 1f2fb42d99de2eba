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
    model = KernelRidge().fit(x.astype(np.float64), y)
    _, std = model.predict(new.astype(np.float64), return_std=True)
    expected = np.sqrt((std / model.scale_) ** 2 + model.alpha_)
    found = Novelty(x, y, seed=0)(torch.from_numpy(new)).numpy()
    assert found == pytest.approx(expected, rel=2e-3)
    assert found[-3:] == pytest.approx(np.sqrt(1 + model.alpha_), rel=1e-3)


def test_one_row_of_each_group() -> None:
    groups = np.repeat(np.arange(30), 4)
    rows = some_rows(groups, 100, np.random.default_rng(0))
    assert sorted(groups[rows].tolist()) == list(range(30))
    assert (np.diff(rows) > 0).all()
    assert len(some_rows(groups, 10, np.random.default_rng(0))) == 10
    assert {tuple(some_rows(groups, 10, np.random.default_rng(seed))) for seed in (1, 1)} == {
        tuple(some_rows(groups, 10, np.random.default_rng(1)))
    }
