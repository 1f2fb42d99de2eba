"""Kernels on a GPU beside torch, KeOps and CuPy, in one process.

python -m benchmarks.gpu_kernels [--json FILE] [--quick]

Each time is the median of runs that take turns, after one of each that is not counted. What is not installed, or does
not fit into memory, is said. Flop rates are those of the products of rows alone, 2 n m d each, beside that of a torch
matmul in half precision in the same run: "high" takes three products.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from ssiqa import gpu, kernels

REPEATS = 7
# Of parts of rows, by precision.
PRODUCTS = {"high": 3, "medium": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the times go, too")
    parser.add_argument("--quick", action="store_true", help="a tenth of each size")
    arguments = parser.parse_args()
    if reason := gpu.why_no_kernels():
        raise SystemExit(f"There are no kernels for a GPU here: {reason}.")
    part = 10 if arguments.quick else 1
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}\n")
    found: dict[str, dict[str, float]] = {}
    for name, measure in (
        ("small", lambda: small(80, 1_000, 384)),
        ("select", lambda: select(100_000_000 // part, 1_000_000 // part)),
        ("fit", lambda: fit(40_000 // part, 384)),
        ("fused predict", lambda: predict(81_920 // part, 1_000_000 // part, 384)),
    ):
        found[name] = measure()
        if arguments.json:
            arguments.json.write_text(json.dumps(found, indent=1))


def predict(n: int, m: int, d: int) -> dict[str, float]:
    z, x, coef, gamma = rows(n, d), rows(m, d), rows(n), 1 / d
    half = [torch.randn(8192, 8192, device="cuda", dtype=torch.float16) for _ in range(2)]

    def of_block(part: torch.Tensor) -> torch.Tensor:
        return torch.exp(-gamma * torch.cdist(part, z).square()) @ coef

    def in_blocks(one: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        return torch.cat([one(part) for part in x.split(8192)])

    def with_instructions(name: str, precision: Any) -> torch.Tensor:
        os.environ["SSIQA_GPU_ISA"] = name
        try:
            return kernels.rbf_matvec(x, z, coef, gamma=gamma, precision=precision)
        finally:
            del os.environ["SSIQA_GPU_ISA"]

    ways: dict[str, Callable[[], Any]] = {
        f"{precision}, {name}": partial(with_instructions, name, precision)
        for precision in PRODUCTS
        for name in reversed(gpu.module().instructions())
    }
    mine = list(ways)
    ways |= {
        "torch": partial(in_blocks, of_block),
        "torch, compiled": partial(in_blocks, torch.compile(of_block)),
        "torch's matmul": lambda: half[0] @ half[1],
    }
    if find_spec("pykeops"):
        from pykeops.torch import LazyTensor

        def lazily() -> Any:
            distances = ((LazyTensor(x[:, None, :]) - LazyTensor(z[None, :, :])) ** 2).sum(-1)
            return (-gamma * distances).exp() @ coef[:, None]

        ways["KeOps"] = lazily
    else:
        print("KeOps is not installed.")
    times = timed(f"fused predict, n = {n}, m = {m}, d = {d}", ways)
    rate = 2 * 8192**3 / times["torch's matmul"]
    for name in mine:
        reached = 2 * n * m * d * PRODUCTS[name.split(",")[0]] / times[name]
        print(f"  {name}: {reached / 1e12:.0f} Tflop/s, {reached / rate:.0%} of {rate / 1e12:.0f} of torch's matmul")
    return times


def fit(n: int, d: int) -> dict[str, float]:
    x, y, gamma = rows(n, d), rows(n, 1), 1 / d

    def by_torch() -> torch.Tensor:
        kernel = torch.exp(-gamma * torch.cdist(x, x).square())
        kernel.diagonal().add_(1.0)
        return torch.cholesky_solve(y, torch.linalg.cholesky(kernel))

    times = timed(
        f"fit, n = {n}, d = {d}",
        {"ssiqa": lambda: kernels.krr_fit(x, y, gamma=gamma, alpha=1.0), "torch": by_torch},
    )
    for name, way in (("ssiqa", lambda: kernels.krr_fit(x, y, gamma=gamma, alpha=1.0)), ("torch", by_torch)):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        way()
        peak = torch.cuda.max_memory_allocated() - before
        print(f"  {name}: at most {peak / (4 * n * n):.2f} times the kernel matrix")
    return times


def select(n: int, k: int) -> dict[str, float]:
    pred, target = rows(n), rows(n)
    ways: dict[str, Callable[[], Any]] = {
        "ssiqa": lambda: kernels.smallest_difference(pred, target, k),
        "torch": lambda: torch.topk((pred - target).abs(), k, largest=False).indices,
    }
    if find_spec("cupy"):
        import cupy

        a, b = cupy.from_dlpack(pred), cupy.from_dlpack(target)
        ways["CuPy"] = lambda: cupy.argpartition(cupy.abs(a - b), k)[:k]
    else:
        print("CuPy is not installed.")
    return timed(f"select, n = {n}, k = {k}", ways)


def small(n: int, m: int, d: int) -> dict[str, float]:
    x, z, coef = rows(n, d), rows(m, d), rows(m)
    return timed(
        f"small, n = {n}, m = {m}, d = {d}",
        {
            "ssiqa": lambda: kernels.rbf_matvec(x, z, coef, gamma=1 / d),
            "torch": lambda: torch.exp(-torch.cdist(x, z).square() / d) @ coef,
        },
        calls=100,
    )


def rows(*shape: int) -> torch.Tensor:
    return torch.randn(shape, device="cuda", generator=torch.Generator("cuda").manual_seed(sum(shape)))


def timed(title: str, ways: dict[str, Callable[[], Any]], calls: int = 1) -> dict[str, float]:
    """Seconds of a call."""
    seconds: dict[str, list[float]] = {}
    for repeat in range(REPEATS + 1):
        for name, way in ways.items():
            if repeat > 0 and name not in seconds:
                continue
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            try:
                torch.cuda.synchronize()
                start.record()
                for _ in range(calls):
                    way()
                end.record()
                torch.cuda.synchronize()
            except Exception as error:  # one way less, and the others are measured
                print(f"{name} does not run: {str(error).splitlines()[0]}")
                continue
            times = seconds.setdefault(name, [])
            if repeat > 0:
                times.append(start.elapsed_time(end) / 1e3 / calls)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    print(f"{title}")
    for name, median in medians.items():
        print(f"  {name:<16} {1e3 * median:10.3f} ms   {median / next(iter(medians.values())):6.2f} x")
    return medians


if __name__ == "__main__":
    main()
