from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssiqa import replay


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(1, 20))
def test_exemplars_are_the_best_agreements(differences: list[int], every: int) -> None:
    labels = np.zeros(len(differences))
    chosen = replay.exemplars(torch.tensor(differences, dtype=torch.float64), labels, every)
    expected = np.argsort(differences, kind="stable")[: -(-len(differences) // every)]
    assert chosen.tolist() == expected.tolist()


@pytest.mark.parametrize(("n", "count"), [(1, 1), (100, 1), (101, 2), (1600, 16)])
def test_one_in_a_hundred_rounded_up(n: int, count: int) -> None:
    assert len(replay.exemplars(torch.zeros(n, dtype=torch.float64), np.ones(n), 100)) == count


def test_replay_can_be_off() -> None:
    assert len(replay.exemplars(torch.zeros(5, dtype=torch.float64), np.ones(5), 0)) == 0
