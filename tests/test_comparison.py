"""How far two scorers are apart, and how surely."""

from __future__ import annotations

import numpy as np
import pytest

from ssiqa.comparison import compare_scores
from ssiqa.errors import DataError
from ssiqa.metrics import agreement

RNG = np.random.default_rng(0)
LABELS = RNG.normal(size=300)


def noisy(noise: float) -> np.ndarray:
    return LABELS + noise * RNG.normal(size=300)


def test_the_better_one_is_named() -> None:
    found = compare_scores(noisy(2.0), noisy(0.3), LABELS)
    assert found.srcc.low > 0
    assert found.srcc.low < found.srcc.value < found.srcc.high
    assert found.srcc.value == pytest.approx(found.second.srcc - found.first.srcc)
    verdict = "in ranking (SRCC) the second is better, in linear agreement (PLCC) the second is better."
    assert str(found).endswith(verdict)
    assert f"{found.second.rmse:.4g}" in str(found).splitlines()[2]


def test_equal_scorers_are_not_told_apart() -> None:
    scores = noisy(0.5)
    assert compare_scores(scores, scores, LABELS).srcc.low == compare_scores(scores, scores, LABELS).srcc.high == 0
    found = compare_scores(noisy(0.5), noisy(0.5), LABELS)
    assert found.srcc.low < 0 < found.srcc.high
    assert "do not tell them apart" in str(found)


def test_each_measure_has_its_own_verdict() -> None:
    """A curve through the scores changes no rank, but what is linear in them."""
    scores = noisy(0.3)
    found = str(compare_scores(scores, np.exp(2 * scores), LABELS))
    assert found.endswith(
        "in ranking (SRCC) the photos do not tell them apart, in linear agreement (PLCC) the first is better."
    )


def test_what_both_find_hard_does_not_widen_the_interval() -> None:
    """Paired: two scorers that err alike are told apart by a small difference."""
    shared = noisy(1.0)
    alike = compare_scores(shared + 0.3 * RNG.normal(size=300), shared, LABELS).srcc
    apart = compare_scores(noisy(1.0), noisy(1.0), LABELS).srcc
    assert alike.high - alike.low < 0.6 * (apart.high - apart.low)


def test_near_duplicates_count_once() -> None:
    first, second = noisy(1.0)[:60], noisy(0.8)[:60]
    copies = [np.repeat(values, 5) for values in (first, second, LABELS[:60])]
    alone = compare_scores(first, second, LABELS[:60]).srcc
    grouped = compare_scores(*copies, np.repeat(np.arange(60), 5)).srcc
    pretended = compare_scores(*copies).srcc
    assert grouped.high - grouped.low == pytest.approx(alone.high - alone.low, rel=0.1)
    assert pretended.high - pretended.low < 0.7 * (grouped.high - grouped.low)


def test_lengths_must_agree() -> None:
    with pytest.raises(DataError, match="must be two vectors of one length"):
        compare_scores([1.0, 2.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0])


def test_of_few_groups_only_the_figures_are_said() -> None:
    found = compare_scores(noisy(1.0)[:30], noisy(0.5)[:30], LABELS[:30], np.arange(30) % 3)
    assert found.srcc.value == found.second.srcc - found.first.srcc
    assert np.isnan([found.srcc.low, found.srcc.high, found.plcc.low, found.plcc.high]).all()
    assert f"SRCC {found.srcc.value:+.3f} [interval undefined]" in str(found)
    assert str(found).endswith("30 photos of 3 groups: too few to say which is better, which takes at least 10.")


@pytest.mark.parametrize("size", [1e-170, 1e-100, 1e100, 1e160, 1e300])
def test_scores_of_any_size(size: float) -> None:
    """Squares of them vanish or overflow."""
    first, second = noisy(1.0), noisy(0.5)
    usual, found = (compare_scores(first * unit, second * unit, LABELS) for unit in (1.0, size))
    assert [found.first.plcc, found.plcc.low] == pytest.approx([usual.first.plcc, usual.plcc.low])
    curves = [agreement(first * unit, LABELS * of, 4).plcc for unit, of in ((1.0, 1.0), (size, 1.0), (1.0, size))]
    assert curves[1:] == pytest.approx([curves[0]] * 2, abs=1e-4)


def test_groups_must_be_given() -> None:
    names = [f"group {number}" for number in range(299)]
    for groups in (np.array([*range(299), None], dtype=object), [np.nan, *range(299)], [*names, np.nan]):
        with pytest.raises(DataError, match="Of 1 photos the group is NaN or None"):
            compare_scores(LABELS, LABELS, LABELS, groups)
    with pytest.raises(DataError, match="give one group each"):
        compare_scores(LABELS, LABELS, LABELS, np.arange(299))


def test_one_sample_without_correlation_spoils_no_interval() -> None:
    """Of few and coarse labels some samples draw one label alone."""
    labels = np.array([3.0] * 26 + [4.0, 2.0, 4.0, 2.0])
    scores = labels + 0.3 * np.random.default_rng(0).normal(size=30)
    found = compare_scores(scores, -scores, labels)
    assert np.isfinite([found.srcc.low, found.srcc.high]).all()
    assert "in ranking (SRCC) the first is better" in str(found)


def test_where_most_samples_have_none_the_value_is_shown() -> None:
    labels = np.array([3.0] * 29 + [4.0])
    scores = np.arange(30.0)
    found = compare_scores(scores, scores + np.sin(scores), labels)
    assert f"SRCC {found.srcc.value:+.3f} [" in str(found)
    assert "the photos do not tell them apart" in str(found)


def test_constant_scores_are_undefined() -> None:
    found = compare_scores(np.ones(300), LABELS, LABELS)
    assert str(found.srcc) == "undefined"
    assert "the same score" in str(found)
