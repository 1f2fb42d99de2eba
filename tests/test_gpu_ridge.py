"""The regression as a GPU has it, on the CPU: what it chooses, fits and says is what `KernelRidge` does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from ssiqa import IllConditionedError, gpu_nystrom, gpu_ridge
from ssiqa.gpu_ridge import GpuRidge
from ssiqa.krr import KernelRidge, median_distance

FREE = {"gamma": "auto", "alpha": "auto", "seed": 3}


def problem(n: int = 400, d: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, d))
    return torch.from_numpy(x), torch.from_numpy(2 + np.sin(x[:, 0]) + 0.1 * rng.standard_normal(n))


def same(found: GpuRidge, expected: KernelRidge, z: torch.Tensor, tolerance: float) -> None:
    assert found.gamma == pytest.approx(expected.gamma_, rel=1e-12)
    assert found.alpha == expected.alpha_
    assert found.scale == pytest.approx(expected.scale_, rel=1e-6)
    assert np.array_equal(found.centres.numpy(), expected.X_fit_)
    means, stds = found.predict(z)
    wanted, wanted_stds = expected.predict(z.numpy(), return_std=True)
    assert means.dtype == stds.dtype == z.dtype
    np.testing.assert_allclose(means.numpy(), wanted, rtol=0, atol=tolerance)
    np.testing.assert_allclose(stds.numpy(), wanted_stds, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("centres", [None, 100, 1000])
def test_it_is_that_of_the_cpu(dtype: torch.dtype, centres: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_nystrom, "CHUNK", 64)
    given: dict[str, Any] = {}
    if centres is not None:
        given = {"solver": "nystrom", "n_components": centres}
        monkeypatch.setattr(gpu_ridge, "free_memory", lambda _: 0)
        monkeypatch.setattr(gpu_ridge, "CENTRES", centres)
    x, y = problem()
    expected = KernelRidge(random_state=3, **given).fit(x.to(dtype).numpy(), y.numpy())
    found = GpuRidge(x.to(dtype), y, None, **FREE)
    assert found.loo_rmse == pytest.approx(expected.loo_rmse_, rel=1e-6)
    same(found, expected, problem(50)[0].to(dtype) + 0.3, 1e-5 if dtype == torch.float32 else 1e-7)


@pytest.mark.parametrize("count", [2, 7, 150])
def test_groups_are_left_out_whole(count: int) -> None:
    """Of one size or of several, few or as many as one row of each will do."""
    x, y = problem(300)
    groups = np.random.default_rng(1).integers(0, count, 300)
    groups[:count] = np.arange(count)
    expected = KernelRidge(random_state=3).fit(x.numpy(), y.numpy(), groups)
    found = GpuRidge(x, y, groups, **FREE)
    assert found.loo_rmse == pytest.approx(expected.loo_rmse_, rel=1e-6)
    same(found, expected, x[:20] + 0.1, 1e-7)


def test_what_is_given_is_not_chosen() -> None:
    x, y = problem(60)
    found = GpuRidge(x, y, None, gamma=0.2, alpha=0.5, seed=0)
    assert found.loo_rmse is None
    same(found, KernelRidge(0.2, 0.5).fit(x.numpy(), y.numpy()), x + 0.1, 1e-9)


def test_rows_that_do_not_fit_make_few_centres(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_ridge, "free_memory", lambda _: 2 * gpu_ridge.BYTES_PER_PAIR * 200**2)
    monkeypatch.setattr(gpu_ridge, "CENTRES", 50)
    x, y = problem(201)
    settings: dict[str, Any] = {"gamma": 0.2, "alpha": 0.5, "seed": 0}
    assert len(GpuRidge(x[:200], y[:200], None, **settings).centres) == 200
    assert len(GpuRidge(x, y, None, **settings).centres) == 50


@pytest.mark.parametrize("n", [2, 3, 50, 51])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_median_distance_is_that_of_the_cpu(n: int, dtype: torch.dtype) -> None:
    x = problem(n)[0].to(dtype)
    distances = torch.cdist(x, x)
    assert gpu_ridge.median_distance(distances) == median_distance(distances.numpy())
    assert gpu_ridge.median_distance(torch.zeros_like(distances)) == 1.0


def test_copies_of_one_row_have_no_part_in_the_median_distance() -> None:
    """Where they are most of all pairs; a kernel as narrow as they are near would see nothing else."""
    x = torch.cat([torch.zeros(80, 3, dtype=torch.float64), 1000 * problem(20)[0][:, :3].double()])
    distances = torch.cdist(x, x)
    assert gpu_ridge.median_distance(distances) == median_distance(distances.numpy()) > 100


def test_no_solution_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = problem(40)
    twins = torch.cat([x, x])
    with pytest.raises(IllConditionedError, match="use a larger alpha"):
        GpuRidge(twins, torch.cat([y, y]), None, gamma=0.2, alpha=0.0, seed=0)
    with pytest.raises(IllConditionedError, match="No alpha allowed makes a usable kernel matrix"):
        GpuRidge(twins, torch.cat([y, y]), None, gamma="auto", alpha=0.0, seed=0)
    monkeypatch.setattr(gpu_nystrom, "MAX_ITERATIONS", 1)
    monkeypatch.setattr(gpu_ridge, "free_memory", lambda _: 0)
    monkeypatch.setattr(gpu_ridge, "CENTRES", 10)
    with pytest.warns(ConvergenceWarning, match=r"relative residual of .* after 1 steps"):
        GpuRidge(x, y, None, gamma=0.2, alpha=1e-6, seed=0)
