"""The label scale: zero mean, unit variance, higher is better, and exactly back."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssiqa.data import LabelScale
from ssiqa.errors import DataError


@pytest.mark.parametrize("column", ["mos", "dmos", "score"])
def test_internal_scale_is_standardised_and_higher_is_better(column: str) -> None:
    labels = np.array([10.0, 20.0, 45.0, 90.0])
    scale = LabelScale.fit(labels, column)
    internal = scale.to_internal(labels)
    assert internal.mean() == pytest.approx(0, abs=1e-12)
    assert internal.std() == pytest.approx(1)
    assert np.all(np.diff(internal) < 0) if column == "dmos" else np.all(np.diff(internal) > 0)
    assert (scale.minimum, scale.maximum, scale.span) == (10, 90, 80)


@given(st.lists(st.integers(-1000, 1000), min_size=2, unique=True), st.sampled_from(["mos", "dmos"]))
def test_labels_come_back(labels: list[int], column: str) -> None:
    scale = LabelScale.fit(labels, column)
    np.testing.assert_allclose(scale.to_user(scale.to_internal(labels)), labels, atol=1e-9)


def test_scale_survives_json() -> None:
    scale = LabelScale.fit([0.1, 0.7, 0.2], "dmos")
    assert LabelScale.from_dict(json.loads(json.dumps(scale.to_dict()))) == scale


@pytest.mark.parametrize("labels", [[3.0, 3.0, 3.0], [0.1, 0.1, 0.1], [1e308, -1e308]])
def test_labels_without_a_scale_are_refused(labels: list[float]) -> None:
    with pytest.raises(DataError, match="'mos'"):
        LabelScale.fit(labels, "mos")
