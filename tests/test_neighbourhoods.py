"""Photos that are alike, without a distance at which they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ssiqa.neighbourhoods import LINKED, neighbourhoods


def bundles(count: int, each: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Photos shot in bursts, in any order, and which burst each is of."""
    rng = np.random.default_rng(0)
    of = rng.permutation(np.repeat(np.arange(count), each))
    return (rng.normal(size=(count, 3))[of] + 0.01 * rng.normal(size=(len(of), 3))).astype(np.float32), of


@pytest.mark.parametrize("linked", [LINKED, 60, 319])
def test_photos_that_are_alike_are_of_one_neighbourhood(monkeypatch: pytest.MonkeyPatch, linked: int) -> None:
    """Also where only some of them are linked, and the others join those."""
    monkeypatch.setattr("ssiqa.neighbourhoods.LINKED", linked)
    features, of = bundles(40, 8)
    alike = neighbourhoods(torch.from_numpy(features), 0)
    assert len(alike) == len(of)
    assert 2 <= len(np.unique(alike)) < 40
    apart = [len(np.unique(alike[of == burst])) for burst in range(40)]
    assert np.mean(apart) < 1.3


def test_few_scenes_are_left_out_whole() -> None:
    scenes = torch.repeat_interleave(torch.eye(3), 20, dim=0)
    alike = neighbourhoods(scenes, 0)
    assert all(len(np.unique(alike[scene : scene + 20])) == 1 for scene in (0, 20, 40))
