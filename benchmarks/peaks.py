"""What this machine can do at most: matrix products and memory traffic, which the kernels are held against."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from ssiqa import _core

REPEATS = 7
GEMM_ROWS = 3072
STREAM_ELEMENTS = 16_000_000


def fastest(call: Callable[[], Any]) -> float:
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def gemm(dtype: Any, threads: int) -> float:
    """Operations per second of numpy's matrix product."""
    a = np.random.default_rng(0).standard_normal((GEMM_ROWS, GEMM_ROWS)).astype(dtype)
    out = np.empty_like(a)
    with threadpool_limits(threads):
        return 2.0 * GEMM_ROWS**3 / fastest(lambda: np.matmul(a, a, out=out))


def bfloat16_gemm(threads: int) -> float:
    """Operations per second of torch's matrix product of bfloat16, which runs on the tile unit where there is one."""
    a = torch.ones(GEMM_ROWS, GEMM_ROWS, dtype=torch.bfloat16)
    out = torch.empty_like(a)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return 2.0 * GEMM_ROWS**3 / fastest(lambda: torch.mm(a, a, out=out))
    finally:
        torch.set_num_threads(before)


def stream(threads: int) -> float:
    """Bytes per second of reading two long vectors and writing a third."""
    a, b, out = np.ones((3, STREAM_ELEMENTS), np.float32)
    parts = [slice(STREAM_ELEMENTS * i // threads, STREAM_ELEMENTS * (i + 1) // threads) for i in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        moved = a.nbytes + b.nbytes + out.nbytes
        return moved / fastest(lambda: list(pool.map(lambda p: np.subtract(a[p], b[p], out=out[p]), parts)))


def lines() -> list[str]:
    result = [f"{_core.isa()} code on {_core.n_threads()} threads; features: {' '.join(_core.cpu_features())}"]
    for threads in sorted({1, _core.n_threads()}):
        single, double = gemm(np.float32, threads) / 1e9, gemm(np.float64, threads) / 1e9
        memory = stream(threads) / 1e9
        result.append(
            f"{threads} thread{'s' if threads > 1 else ' '}: numpy's matrix product {single:.0f} GFLOP/s in float32, "
            f"{double:.0f} in float64; memory {memory:.0f} GB/s"
        )
        if _core.isa() == "amx":
            result[-1] += f"; torch's in bfloat16 {bfloat16_gemm(threads) / 1e9:.0f} GFLOP/s"
    return result


if __name__ == "__main__":
    print("\n".join(lines()))
