from __future__ import annotations

import threading
import time

import cv2
import pytest
import torch

from ssiqa.lanes import Lanes, batches, share


@pytest.fixture
def two_threads() -> int:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


def test_results_come_in_order_and_side_by_side(two_threads: int) -> None:
    meeting = threading.Barrier(2, timeout=10)

    def meet(number: int) -> int:
        meeting.wait()  # alone, nobody would get past this
        time.sleep(0.002 * (number % 2))
        return number

    with Lanes() as lanes:
        assert lanes.count == two_threads
        assert list(lanes.map(meet, range(20))) == list(range(20))


def test_torch_is_divided_and_given_back(two_threads: int) -> None:
    with Lanes() as lanes:
        assert set(lanes.map(lambda _: (torch.get_num_threads(), share()), range(8))) == {(1, 0.5)}
    with Lanes(most=1) as lanes:
        assert set(lanes.map(lambda _: (torch.get_num_threads(), share()), range(8))) == {(2, 1.0)}
    assert torch.get_num_threads() == 2
    assert share() == 1
    seen = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert seen == [2]


def test_works_ahead_but_not_far(two_threads: int) -> None:
    begun = []
    with Lanes() as lanes:
        results = lanes.map(begun.append, range(1000))
        next(results)
        time.sleep(0.1)
        assert 2 <= len(begun) <= 12
        results.close()


def test_an_error_comes_up_in_its_place() -> None:
    def fail(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    with Lanes() as lanes:
        results = lanes.map(fail, range(10))
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="three"):
            next(results)


def test_batches() -> None:
    assert batches([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert batches([], 3) == []


def test_lanes_beside_each_other(two_threads: int) -> None:
    """In two threads, and one left while the other goes on: each has its lanes, and torch is as before."""
    counts = []

    def use() -> None:
        with Lanes() as lanes:
            counts.append(lanes.count)
            time.sleep(0.02 * len(counts))
            assert set(lanes.map(lambda _: torch.get_num_threads(), range(8))) == {1}

    threads = [threading.Thread(target=use) for _ in range(3)]
    opencv = cv2.getNumThreads()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [2, 2, 2]
    assert cv2.getNumThreads() == opencv
    assert torch.get_num_threads() == 2
    seen = []
    after = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    after.start()
    after.join()
    assert seen == [2]


def test_opencv_does_not_add_threads_of_its_own() -> None:
    with Lanes() as lanes:
        assert set(lanes.map(lambda _: cv2.getNumThreads(), range(4))) == {1}
