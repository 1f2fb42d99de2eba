from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from ssiqa.krr import KernelRidge
from ssiqa.trust import coverage


def test_photos_like_those_of_a_are_covered_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    a, unseen, like, unlike = (rng.normal(shift, 1, (n, 5)) for shift, n in [(0, 300), (0, 200), (0, 200), (4, 200)])
    model = KernelRidge().fit(a, a[:, 0] + 0.1 * rng.normal(size=300))
    stds = [torch.from_numpy(model.predict(x, return_std=True)[1]) for x in (unseen, like, unlike)]
    near, far = (coverage(of_b, stds[0], range(200)) for of_b in stds[1:])
    assert near is not None
    assert far is not None
    assert near.uncovered == pytest.approx(0.05, abs=0.05)
    assert not near.is_low
    assert far.uncovered > 0.9
    assert far.is_low
    assert "unlike the labelled ones" in str(far)


def test_without_a_regression_nothing_is_said() -> None:
    assert coverage(None, None, []) is None


def warns_no_more_than_chance(draw: Callable[[], list[np.ndarray]], groups: np.ndarray, draws: int) -> None:
    """Deviations of B and of A's hold-out, which are alike, are drawn again and again."""
    warned, shares, usual = [], [], 0.0
    for _ in range(draws):
        found = coverage(*map(torch.from_numpy, draw()), groups)
        assert found is not None
        warned.append(found.is_low)
        shares.append(found.uncovered)
        usual = found.usual
    assert np.mean(warned) < 0.08
    assert np.mean(shares) < usual + 0.02


@pytest.mark.parametrize(("holdout", "photos"), [(4, 5), (8, 5), (8, 100), (20, 20), (400, 5)])
def test_few_photos_are_no_reason_to_warn(holdout: int, photos: int) -> None:
    """Of folders that are alike, about one in twenty is warned of, or fewer, however small they are."""
    rng = np.random.default_rng(0)
    warns_no_more_than_chance(
        lambda: [rng.exponential(size=count) for count in (photos, holdout)], np.arange(holdout), 500
    )


def test_a_small_hold_out_tells_what_is_far_from_it() -> None:
    found = coverage(torch.full((50,), 2.0).double(), torch.linspace(0.1, 1, 8).double(), range(8))
    assert found is not None
    assert found.is_low


def test_versions_of_few_contents_are_no_reason_to_warn() -> None:
    """Of a folder like A, whose hold-out has a few contents in many versions each."""
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(3), 17)

    def folders() -> list[np.ndarray]:
        return [np.repeat(rng.exponential(size=count), 17) + 0.1 * rng.random(17 * count) for count in (15, 3)]

    warns_no_more_than_chance(folders, groups, 300)
    of_a = folders()[1]
    far = coverage(torch.full((255,), 50.0).double(), torch.from_numpy(of_a), groups)
    assert far is not None
    assert far.is_low
