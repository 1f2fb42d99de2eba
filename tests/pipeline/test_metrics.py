from __future__ import annotations

import math

import numpy as np
import pytest

from ssiqa.errors import DataError
from ssiqa.metrics import agreement


def test_known_values() -> None:
    result = agreement([1, 2, 3, 4], [1, 3, 2, 4])
    assert (result.srcc, result.krcc, result.n) == (pytest.approx(0.8), pytest.approx(2 / 3), 4)
    assert result.plcc == pytest.approx(0.8)
    assert result.rmse == pytest.approx(math.sqrt(0.5))


def test_constant_scores_have_no_correlation() -> None:
    result = agreement(np.ones(5), np.arange(5))
    assert math.isnan(result.srcc)
    assert result.rmse == pytest.approx(math.sqrt(3))


@pytest.mark.parametrize(("scores", "labels"), [([1.0], [1.0]), ([1.0, 2.0], [1.0, 2.0, 3.0])])
def test_shapes_are_checked(scores: list[float], labels: list[float]) -> None:
    with pytest.raises(DataError):
        agreement(scores, labels)
