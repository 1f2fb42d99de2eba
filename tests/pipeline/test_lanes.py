from __future__ import annotations

import threading
import time

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
