"""The regression as a GPU computes it, on the CPU: against that of the core, and where there is no solution."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssiqa import IllConditionedError, _core, gpu_krr, kernels, leave_one_out

DTYPES = [torch.float32, torch.float64]
# One whose factor is in float64 from the start, and one that is refined from float32.
SIZES = [(200, 12), (1200, 30)]


def normal(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).to(dtype)


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "d"), SIZES)
@pytest.mark.parametrize("alpha", [1e-9, 1e-3, 1.0, 1e300])
def test_coefficients_are_those_of_the_core(n: int, d: int, alpha: float, dtype: torch.dtype) -> None:
    x, y = normal(n, d, dtype=dtype), normal(n, 3, dtype=dtype, seed=1) * torch.tensor([1.0, 1e-20, 0.0], dtype=dtype)
    found = gpu_krr.fit_batches(_core, x, y, [0.5 / d], [alpha])
    expected = kernels.krr_fit(x, y, gamma=0.5 / d, alpha=alpha)
    assert found.dtype == dtype
    assert torch.equal(found[:, 2], torch.zeros(n, dtype=dtype))
    for t in range(2):
        if expected[:, t].abs().max() > 0:  # of 1e300 not in float32
            assert relative(found[:, t], expected[:, t]) < (1e-6 if dtype == torch.float32 else 1e-10)


def test_batches_have_their_own_settings() -> None:
    x, y, gammas, alphas = normal(3, 50, 6), normal(3, 50, seed=1), [0.1, 0.2, 0.3], [1.0, 0.1, 0.01]
    found = gpu_krr.fit_batches(_core, x, y, gammas, alphas)
    assert found.shape == (3, 50)
    assert relative(found, kernels.krr_fit(x, y, gamma=gammas, alpha=alphas)) < 1e-12


def test_no_solution_names_the_row() -> None:
    x = normal(2, 1200, 4)
    x[1, 917] = x[1, 3]
    with pytest.raises(IllConditionedError, match=r"^In batch 1: .* definite at row 917; use a larger alpha") as caught:
        gpu_krr.fit_batches(_core, x, normal(2, 1200), [0.5, 0.5], [0.0, 0.0])
    assert caught.value.pivot == 917
    assert caught.value.condition > 1e15
    with pytest.raises(IllConditionedError, match="row 917"):
        gpu_krr.Posterior(_core, x[1], 0.5, 0.0)


@pytest.mark.parametrize(("name", "row"), [("x", 0), ("y", 1)])
def test_numbers_that_are_none_are_refused(name: str, row: int) -> None:
    given = [normal(5, 2), normal(5)]
    given[row][3] = torch.nan
    with pytest.raises(ValueError, match=f"{name} must hold finite numbers"):
        gpu_krr.fit_batches(_core, *given, [1.0], [1.0])


def test_a_posterior_refuses_numbers_that_are_none() -> None:
    x = normal(5, 2)
    x[3] = torch.nan
    with pytest.raises(ValueError, match="x must hold finite numbers"):
        gpu_krr.Posterior(_core, x, 1.0, 1.0)
    found = gpu_krr.Posterior(_core, normal(5, 2), 1.0, 1.0)
    with pytest.raises(ValueError, match="y must hold finite numbers"):
        found.solve(torch.full((5, 1), torch.inf))
    with pytest.raises(ValueError, match="z must hold finite numbers"):
        found.variance(x)


def test_nothing_to_learn_has_no_coefficients() -> None:
    assert gpu_krr.fit_batches(_core, normal(0, 2), normal(0), [1.0], [1.0]).shape == (0,)


def test_coefficients_that_do_not_fit() -> None:
    x, y = torch.tensor([[0.0], [1e-2]]), torch.tensor([3e38, -3e38])
    with pytest.raises(ValueError, match="coefficients are too large"):
        gpu_krr.fit_batches(_core, x, y, [1.0], [0.0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_posterior_is_that_of_the_core(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_krr, "BLOCK_BYTES", 8 * 300 * 7)  # seven rows at a time
    x, z, y = normal(300, 9, dtype=dtype), normal(50, 9, dtype=dtype, seed=1), normal(300, 2, dtype=dtype, seed=2)
    found, expected = gpu_krr.Posterior(_core, x, 0.05, 0.01), kernels.krr_factor(x, gamma=0.05, alpha=0.01)
    assert float((found.variance(z) - expected.variance(z)).abs().max()) < 1e-7
    assert relative(found.solve(y), expected.solve(y)) < 1e-6
    assert expected.condition / 3 < found.condition() < 3 * expected.condition


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_posterior_keeps_rows_of_its_own(dtype: torch.dtype) -> None:
    """Whoever made it may write over the rows."""
    x, z, y = normal(60, 4, dtype=dtype), normal(9, 4, dtype=dtype, seed=1), normal(60, 1, dtype=dtype, seed=2)
    found = gpu_krr.Posterior(_core, x, 0.2, 0.01)
    before = found.variance(z), found.solve(y)
    x.zero_()
    assert torch.equal(found.variance(z), before[0])
    assert torch.equal(found.solve(y), before[1])


def test_leave_one_out_is_that_of_the_cpu() -> None:
    x, y, alphas = normal(90, 5), normal(90, seed=1).numpy(), np.array([0.0, 1e-3, 1.0])
    x[3] = x[4]
    columns = torch.from_numpy(np.stack([y - y.mean(), np.ones(90)], axis=1))
    usable, solved, diagonal = gpu_krr.inverses(kernels.rbf_kernel(x, gamma=0.2), columns, torch.from_numpy(alphas))
    assert usable.tolist() == [False, True, True]
    errors = (solved[..., 0] + columns[:, 0] / 89 * solved[..., 1]) / diagonal
    expected = leave_one_out(x, y, gammas=[0.2], alphas=alphas).errors[0]
    assert np.isinf(expected[0]).all()
    np.testing.assert_allclose(errors.numpy(), expected[1:], rtol=1e-6, atol=1e-9)
