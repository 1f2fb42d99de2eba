"""BLAS has one thread while anybody asks for it, and afterwards what it had."""

from __future__ import annotations

from threadpoolctl import threadpool_info, threadpool_limits

from ssiqa.blas import one_blas_thread


def threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_limits_that_overlap_are_taken_back_by_the_last() -> None:
    """As those of two threads do, of which the first to begin is the first to end."""
    with threadpool_limits(2, user_api="blas"):
        usual, first, second = threads(), one_blas_thread(), one_blas_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert threads() == {1}
        second.__exit__(None, None, None)
        assert threads() == usual == {2}
