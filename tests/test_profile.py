from __future__ import annotations

import time

import pytest
import torch

from ssiqa import Profile
from ssiqa.lanes import Lanes


def test_stages_and_the_rest_add_up() -> None:
    profile = Profile()
    with profile.stage("forward", images=30):
        time.sleep(0.1)
    with profile.stage("decode", images=5):
        time.sleep(0.05)
    time.sleep(0.05)
    found = profile.to_dict()
    assert list(found) == ["forward", "decode", "other"]
    assert sum(stage["share"] for stage in found.values()) == pytest.approx(1, abs=0.01)
    assert found["forward"]["seconds"] == pytest.approx(0.1, abs=0.03)
    assert profile.outside_network() == pytest.approx(0.5, abs=0.15)
    assert "forward" in str(profile)


def test_a_second_of_one_of_two_lanes_is_half_a_second() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        profile = Profile()

        def work(_: int) -> None:
            with profile.stage("forward", images=1):
                time.sleep(0.05)

        with Lanes() as lanes:
            list(lanes.map(work, range(4)))
    finally:
        torch.set_num_threads(before)
    assert profile.to_dict()["forward"]["seconds"] == pytest.approx(0.1, abs=0.03)
    assert profile.to_dict()["forward"]["images"] == 4


def test_failed_work_counts_too() -> None:
    profile = Profile()
    with pytest.raises(ValueError, match="stop"), profile.stage("decode"):
        raise ValueError("stop")
    assert "decode" in profile.to_dict()


def test_a_stage_within_a_stage_counts_once() -> None:
    profile = Profile()
    with profile.stage("scoring"):
        time.sleep(0.05)
        for _ in range(2):
            with profile.stage("decode"):
                time.sleep(0.05)
    with profile.stage("scoring"):
        time.sleep(0.05)
    found = profile.to_dict()
    assert found["scoring"]["seconds"] == pytest.approx(0.1, abs=0.03)
    assert found["decode"]["seconds"] == pytest.approx(0.1, abs=0.03)
