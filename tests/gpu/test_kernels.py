"""The kernels on a GPU against those of the CPU, in float64 where they are float32; memory starts as NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ssiqa import IllConditionedError, arrays, gpu, kernels, leave_one_out

REASON = gpu.why_no_kernels()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(REASON is not None, reason=f"no kernels on a GPU: {REASON}")]
assert not (REASON or "").startswith("they do not load"), REASON  # were built: that is no reason to skip

DTYPES = [torch.float32, torch.float64]
# The last ones are for tensor cores.
SIZES = [
    (1, 1, 1),
    (1, 7, 3),
    (5, 1, 1),
    (33, 50, 17),
    (97, 193, 192),
    (600, 700, 385),
    (1300, 1111, 192),
    (257, 9000, 96),
]


@pytest.fixture(autouse=True, params=["mma"] if REASON else gpu.module().instructions())
def instructions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSIQA_GPU_ISA", request.param)


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    real = arrays.empty

    def empty(like: Any, *arguments: Any) -> Any:
        array = real(like, *arguments)
        return array.fill_(255 if array.dtype == torch.uint8 else -1 if array.dtype == torch.int64 else torch.nan)

    monkeypatch.setattr(arrays, "empty", empty)


def normal(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    values = np.random.default_rng(seed).standard_normal(shape)
    return torch.from_numpy(values).to("cuda", dtype)


def exact(function: Any, *given: torch.Tensor, **settings: Any) -> torch.Tensor:
    """The CPU's, in float64."""
    found: torch.Tensor = function(*(array.cpu().double() for array in given), **settings)
    return found


def largest(difference: torch.Tensor) -> float:
    assert not difference.isnan().any()
    return float(difference.abs().max())


def test_instructions_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSIQA_GPU_ISA", "tcgen05")
    with pytest.raises(RuntimeError, match="SSIQA_GPU_ISA is 'tcgen05', but this GPU and build allow only: mma"):
        kernels.rbf_kernel(normal(900, 384), gamma=0.1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "m", "d"), SIZES)
def test_matrices(n: int, m: int, d: int, dtype: torch.dtype) -> None:
    x, y, gamma = normal(n, d, dtype=dtype, seed=1), normal(m, d, dtype=dtype, seed=2) + 3, 1 / d
    tolerance = 1e-5 if dtype == torch.float32 else 1e-13
    distances, kernel = kernels.squared_distances(x, y), kernels.rbf_kernel(x, y, gamma=gamma)
    assert (kernel.dtype, kernel.device, kernel.shape) == (dtype, x.device, (n, m))
    assert largest(distances.cpu().double() - exact(kernels.squared_distances, x, y)) <= 20 * d * tolerance
    assert largest(kernel.cpu().double() - exact(kernels.rbf_kernel, x, y, gamma=gamma)) <= tolerance
    own = kernels.rbf_kernel(x, gamma=gamma)
    assert largest(own.diagonal() - 1) == 0
    assert torch.equal(own, kernels.rbf_kernel(x, gamma=gamma))


@pytest.mark.parametrize("precision", ["high", "medium"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "m", "d"), SIZES)
@pytest.mark.parametrize("targets", [(), (3,), (9,)])
def test_products(n: int, m: int, d: int, targets: tuple[int, ...], dtype: torch.dtype, precision: Any) -> None:
    x, z, coef = normal(n, d, dtype=dtype), normal(m, d, dtype=dtype, seed=1), normal(m, *targets, dtype=dtype, seed=2)
    found = kernels.rbf_matvec(x, z, coef, gamma=1 / d, precision=precision)
    assert found.shape == (n, *targets)
    scale = exact(kernels.rbf_matvec, x, z, coef.abs(), gamma=1 / d)
    tolerance = 1e-13 if dtype == torch.float64 else 1e-5 if precision == "high" else 2e-3
    error = (found.cpu().double() - exact(kernels.rbf_matvec, x, z, coef, gamma=1 / d)) / scale
    assert largest(error) <= tolerance


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(70, 3, 5, 7), (3, 900, 800, 200)])
def test_batches(size: tuple[int, ...], dtype: torch.dtype) -> None:
    b, n, m, d = size
    x, z, coef = (
        normal(b, n, d, dtype=dtype),
        normal(b, m, d, dtype=dtype, seed=1),
        normal(b, m, 2, dtype=dtype, seed=2),
    )
    gammas = [1 / (d + i) for i in range(b)]
    found = kernels.rbf_matvec(x, z, coef, gamma=gammas).cpu().double()
    scale = exact(kernels.rbf_matvec, x, z, coef.abs(), gamma=gammas)
    assert largest((found - exact(kernels.rbf_matvec, x, z, coef, gamma=gammas)) / scale) <= 1e-5
    kernel = kernels.rbf_kernel(x, z, gamma=1 / d).cpu().double()
    assert largest(kernel - exact(kernels.rbf_kernel, x, z, gamma=1 / d)) <= 1e-5


def test_rows_are_read_through_strides() -> None:
    x, z, coef = normal(384, 900), normal(1800, 384, seed=1), normal(900, 2, seed=2)
    views = x.T, z[::2], coef[:, 1]
    assert torch.equal(
        kernels.rbf_matvec(*views, gamma=0.01), kernels.rbf_matvec(*(view.contiguous() for view in views), gamma=0.01)
    )


@pytest.mark.parametrize("size", [(50, 60, 9), (900, 800, 200)])
def test_what_is_no_number_is_passed_on(size: tuple[int, int, int]) -> None:
    x, z, coef = normal(size[0], size[2]), normal(size[1], size[2], seed=1), normal(size[1], seed=2)
    x[3, 5] = torch.nan
    found = kernels.rbf_matvec(x, z, coef, gamma=0.1).isnan().cpu()
    assert found[3]
    assert found.sum() == 1
    z[0, 0] = torch.nan
    assert kernels.rbf_matvec(x, z, coef, gamma=0.1).isnan().all()
    kernel = kernels.rbf_kernel(x, z, gamma=0.1).isnan().cpu()
    assert torch.equal(kernel, (torch.arange(len(x)) == 3)[:, None] | (torch.arange(len(z)) == 0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 1000, 3_000_001])
def test_selection_is_that_of_the_cpu(n: int, dtype: torch.dtype) -> None:
    pred, target = normal(n, dtype=dtype), normal(n, dtype=dtype, seed=1)
    pred[::7], target[::7] = pred[::7].round(), target[::7].round()  # ties
    pred[3::1001], target[5::1003] = torch.nan, torch.inf
    for k in {0, 1, n // 3, n}:
        found = kernels.smallest_difference(pred, target, k)
        assert torch.equal(found.cpu(), kernels.smallest_difference(pred.cpu(), target.cpu(), k))


@settings(max_examples=50, deadline=None)
@given(
    values=hnp.arrays(np.float32, st.integers(1, 200), elements=st.floats(width=32)),
    k=st.floats(0, 1),
    step=st.booleans(),
)
def test_selection_of_anything(values: Any, k: float, step: bool) -> None:
    pred = torch.from_numpy(values.round() if step else values)
    target, count = torch.zeros_like(pred), int(k * len(pred))
    found = kernels.smallest_difference(pred.cuda(), target.cuda(), count)
    assert torch.equal(found.cpu(), kernels.smallest_difference(pred, target, count))


def test_work_is_queued_on_the_current_stream() -> None:
    x, coef = normal(900, 200), normal(900, seed=1)
    expected = kernels.rbf_matvec(x, x, coef, gamma=0.01)
    later = torch.zeros_like(x)
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        torch.cuda._sleep(1_000_000_000)
        later.copy_(x, non_blocking=True)
        done = torch.cuda.Event()
        found = kernels.rbf_matvec(later, later, coef, gamma=0.01)
        done.record()
        assert not done.query(), "the call waited for the GPU"
    torch.cuda.synchronize()
    assert torch.equal(found, expected)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one GPU")
def test_arrays_on_another_gpu_than_the_current_one() -> None:
    x, coef = normal(900, 200), normal(900, 2, seed=1)
    there = x.to("cuda:1"), coef.to("cuda:1")
    found = kernels.rbf_matvec(there[0], there[0], there[1], gamma=0.01)
    assert found.device == there[0].device
    assert torch.equal(found.cpu(), kernels.rbf_matvec(x, x, coef, gamma=0.01).cpu())
    factor = kernels.krr_factor(there[0], gamma=0.01, alpha=0.1)
    assert torch.equal(factor.solve(there[1]).cpu(), kernels.krr_factor(x, gamma=0.01, alpha=0.1).solve(coef).cpu())
    picked = kernels.smallest_difference(there[1][:, 0], there[1][:, 1], 9)
    assert torch.equal(picked.cpu(), kernels.smallest_difference(coef[:, 0].cpu(), coef[:, 1].cpu(), 9))


def test_arrays_in_different_memories() -> None:
    with pytest.raises(ValueError, match="y must be in the memory of CUDA device 0, like the first array"):
        kernels.rbf_kernel(normal(3, 2), torch.zeros(3, 2), gamma=1.0)
    with pytest.raises(ValueError, match="y must be in CPU memory"):
        kernels.rbf_kernel(torch.zeros(3, 2), normal(3, 2), gamma=1.0)


@pytest.mark.parametrize("gamma", [-1.0, float("nan"), float("inf")])
def test_gammas_that_cannot_be_used(gamma: float) -> None:
    with pytest.raises(ValueError, match="gamma must be a finite number that is not negative"):
        kernels.rbf_matvec(normal(3, 2), normal(3, 2), normal(3), gamma=gamma)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [100, 3000])
def test_regression_is_that_of_the_cpu(n: int, dtype: torch.dtype) -> None:
    x, y, z = normal(n, 30, dtype=dtype), normal(n, 2, dtype=dtype, seed=1), normal(40, 30, dtype=dtype, seed=2)
    settings = {"gamma": 0.02, "alpha": 0.01}
    tolerance = 1e-6 if dtype == torch.float32 else 1e-9
    found, expected = kernels.krr_fit(x, y, **settings).cpu(), kernels.krr_fit(x.cpu(), y.cpu(), **settings)
    assert largest(found - expected) <= tolerance * float(expected.abs().max())
    on_gpu, on_cpu = kernels.krr_factor(x, **settings), kernels.krr_factor(x.cpu(), **settings)
    assert largest(on_gpu.solve(y).cpu() - on_cpu.solve(y.cpu())) <= tolerance * float(expected.abs().max())
    assert largest(on_gpu.variance(z).cpu() - on_cpu.variance(z.cpu())) <= 1e-6
    assert on_cpu.condition / 3 < on_gpu.condition < 3 * on_cpu.condition


def test_a_fit_takes_little_more_memory_than_the_kernel() -> None:
    n = 20_000
    x, y = normal(n, 384), normal(n, seed=1)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    kernels.krr_fit(x, y, gamma=1 / 384, alpha=1.0)
    assert torch.cuda.max_memory_allocated() - before <= 1.1 * 4 * n**2


def test_no_solution_names_the_row() -> None:
    x = normal(2000, 4)
    x[1217] = x[3]
    with pytest.raises(IllConditionedError, match="row 1217") as caught:
        kernels.krr_fit(x, x[:, 0], gamma=0.5, alpha=0.0)
    assert caught.value.pivot == 1217


def test_leave_one_out_is_that_of_the_cpu() -> None:
    x, y = normal(500, 9, dtype=torch.float64), np.random.default_rng(1).standard_normal(500)
    grid = {"gammas": [0.01, 0.1], "alphas": [1e-3, 1.0]}
    found, expected = leave_one_out(x, y, **grid), leave_one_out(x.cpu().numpy(), y, **grid)
    np.testing.assert_allclose(found.errors, expected.errors, rtol=1e-6, atol=1e-9)
