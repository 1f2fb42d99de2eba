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
    near, far = (coverage(of_b, stds[0], range(200), range(200)) for of_b in stds[1:])
    assert near is not None
    assert far is not None
    assert near.uncovered == pytest.approx(0.05, abs=0.05)
    assert not near.is_low
    assert far.uncovered > 0.9
    assert far.is_low
    assert "unlike the labelled ones" in str(far)


def test_without_a_regression_nothing_is_said() -> None:
    assert coverage(None, None, [], []) is None


def warns_no_more_than_chance(
    draw: Callable[[], list[np.ndarray]], alike: np.ndarray, groups: np.ndarray, draws: int
) -> None:
    """Deviations of B and of A's hold-out, which are alike, are drawn again and again."""
    warned, shares, usual = [], [], 0.0
    for _ in range(draws):
        found = coverage(*map(torch.from_numpy, draw()), alike, groups)
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
        lambda: [rng.exponential(size=count) for count in (photos, holdout)], np.arange(photos), np.arange(holdout), 500
    )


def test_a_small_hold_out_tells_what_is_far_from_it() -> None:
    found = coverage(torch.full((50,), 2.0).double(), torch.linspace(0.1, 1, 8).double(), range(50), range(8))
    assert found is not None
    assert found.is_low


@pytest.mark.parametrize(("of_b", "of_a", "versions"), [(15, 3, 17), (5, 400, 40), (3, 400, 60), (10, 400, 20)])
def test_versions_of_few_contents_are_no_reason_to_warn(of_b: int, of_a: int, versions: int) -> None:
    """Of a folder like A: either has contents in many versions each, or A's hold-out none twice."""
    rng, each = np.random.default_rng(0), versions if of_a < 20 else 1
    alike, groups = np.repeat(np.arange(of_b), versions), np.repeat(np.arange(of_a), each)

    def folders() -> list[np.ndarray]:
        counts = ((of_b, versions), (of_a, each))
        return [np.repeat(rng.exponential(size=n), k) + 0.01 * rng.random(n * k) for n, k in counts]

    warns_no_more_than_chance(folders, alike, groups, 300)
    far = coverage(torch.full((of_b * versions,), 50.0).double(), torch.from_numpy(folders()[1]), alike, groups)
    assert far is not None
    assert far.is_low
