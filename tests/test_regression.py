"""The exact fit, its factor and its batches against scikit-learn, explicit inverses and their own invariants."""

import os
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.kernel_ridge import KernelRidge

from ssiqa import kernels
from ssiqa.errors import IllConditionedError

DTYPES = [np.float32, np.float64]
EPS = np.finfo(np.float64).eps
FLOAT_ROWS = 900  # enough for a factor in float32


def rows(n: int, d: int, dtype: Any = np.float64, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


def exact_kernel(x: NDArray[Any], z: NDArray[Any], gamma: float) -> NDArray[Any]:
    """From differences, in extended precision: feature by feature, so that memory stays small."""
    distances = np.zeros((len(x), len(z)), dtype=np.longdouble)
    for left, right in zip(x.T.astype(np.longdouble), z.T.astype(np.longdouble), strict=True):
        distances += (left[:, None] - right[None, :]) ** 2
    return np.exp(-gamma * distances)


def regularised(x: NDArray[Any], gamma: float, alpha: float) -> NDArray[Any]:
    return exact_kernel(x, x, gamma) + alpha * np.eye(len(x), dtype=np.longdouble)


def residual(matrix: NDArray[Any], coef: NDArray[Any], y: NDArray[Any]) -> float:
    return float(np.linalg.norm((matrix @ coef.astype(np.longdouble) - y).astype(np.float64)))


def problem(kind: str, n: int, d: int = 20) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x = rows(n, d)
    if kind == "near duplicates":
        x[n // 2 :] = x[: n - n // 2] + 1e-4 * rows(n - n // 2, d, seed=1)
    return x, np.sin(x[:, 0]) + 0.1 * rows(n, 1, seed=2)[:, 0]


@pytest.mark.parametrize("kind", ["normal", "near duplicates"])
@pytest.mark.parametrize("n", [60, 500, FLOAT_ROWS])
def test_residual_is_no_larger_than_lapack(n: int, kind: str) -> None:
    """On one matrix, so that only the solve counts, and with the products in extended precision.

    What refinement leaves are the rounding of the coefficients and of one product, which grow with the root of n; what
    a direct solve leaves grows faster. The ratio is below 1 from 500 rows on; a tenth is for other builds of LAPACK.
    With few rows both are a few roundings, of |A| |c| and of y, and either may be the smaller one.
    """
    x, y = problem(kind, n)
    for gamma in (5e-4, 5e-3, 5e-2, 0.5):
        for alpha in (1e-6, 1e-4, 1e-2, 1.0, 10.0):
            matrix = kernels.rbf_kernel(x, gamma=gamma) + alpha * np.eye(n)
            theirs = scipy.linalg.solve(matrix, y, assume_a="pos")
            ours = kernels.krr_fit(x, y, gamma=gamma, alpha=alpha)
            extended = matrix.astype(np.longdouble)
            limit = 1.1 * residual(extended, theirs, y)
            if n < 500:
                unit = EPS / 2 * (matrix.sum(axis=0).max() * np.linalg.norm(ours) + np.linalg.norm(y))
                limit = max(limit, 4 * unit)
            assert residual(extended, ours, y) <= limit, (gamma, alpha)


def test_residual_is_no_larger_than_scikit_learn() -> None:
    """Against the kernel in extended precision: rounding of the kernels' entries counts too, at random on both sides.

    A squared distance by the norm trick is off by about eps |x|^2, that is eps d, so that an entry is off by eps gamma
    d of itself, and by one eps of its own rounding; over K c that is so much of |K_i * c|, norms over the rows.
    """
    x, y = problem("normal", FLOAT_ROWS)
    for gamma, alpha in ((5e-3, 1e-4), (5e-2, 0.1), (0.5, 10.0)):
        kernel = exact_kernel(x, x, gamma)
        matrix = kernel + alpha * np.eye(len(x), dtype=np.longdouble)
        theirs = KernelRidge(kernel="rbf", gamma=gamma, alpha=alpha).fit(x, y).dual_coef_
        ours = kernels.krr_fit(x, y, gamma=gamma, alpha=alpha)
        rounding = (1 + gamma * x.shape[1]) * EPS * float(np.linalg.norm((kernel * ours).astype(np.float64)))
        assert residual(matrix, ours, y) <= residual(matrix, theirs, y) + rounding


@pytest.mark.parametrize("n", [100, FLOAT_ROWS])
@pytest.mark.parametrize("alpha", [1e-10, 1e-6, 1e-3, 10.0])
def test_several_targets_are_those_of_each(n: int, alpha: float) -> None:
    x, y = rows(n, 4), rows(n, 11, seed=1)
    y[:, 3] = 0
    y[:, 4] *= 1e200
    y[:, 5] *= 1e-200
    together = kernels.krr_fit(x, y, gamma=0.3, alpha=alpha)
    matrix = regularised(x, 0.3, alpha)
    norm = float(np.abs(matrix).sum(axis=0).max())
    for t in range(11):
        size = np.abs(y[:, t]).max() or 1.0  # squares of the largest would overflow
        scaled, coef = y[:, t] / size, together[:, t] / size
        limit = EPS * (norm * np.linalg.norm(coef) + np.linalg.norm(scaled))
        assert residual(matrix, coef, scaled) <= limit
    assert not together[:, 3].any()


def test_single_precision_has_the_coefficients_of_double() -> None:
    x, y = rows(FLOAT_ROWS, 30, np.float32), rows(FLOAT_ROWS, 1, np.float32, 1)[:, 0]
    single = kernels.krr_fit(x, y, gamma=0.02, alpha=0.1)
    double = kernels.krr_fit(x.astype(np.float64), y.astype(np.float64), gamma=0.02, alpha=0.1)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, rtol=2 * np.finfo(np.float32).eps, atol=1e-10 * np.abs(double).max())


@pytest.mark.parametrize("n", [40, FLOAT_ROWS])
@pytest.mark.parametrize("dtype", DTYPES)
def test_ill_conditioned_says_what_would_do(n: int, dtype: Any) -> None:
    x = rows(n, 3, dtype)
    x[n - 7] = x[5]
    with pytest.raises(IllConditionedError) as caught:
        kernels.krr_fit(x, x[:, 0], gamma=5.0, alpha=0.0)
    error = caught.value
    assert error.pivot == n - 7
    assert error.condition > 1e15
    assert f"one of the rows 5 and {n - 7}, which are identical" in str(error)
    alpha = float(str(error).split("such as ")[1].split(",")[0])
    assert 0 < alpha < 1e-9
    assert np.isfinite(kernels.krr_fit(x, x[:, 0], gamma=5.0, alpha=alpha)).all()
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.pivot, again.condition) == (str(error), error.pivot, error.condition)


def test_ill_conditioned_without_duplicates() -> None:
    x = np.linspace(0, 1e-3, 50)[:, None]
    with pytest.raises(IllConditionedError, match="drop rows that are nearly the same") as caught:
        kernels.krr_fit(x, x[:, 0], gamma=1.0, alpha=0.0)
    assert "which are identical" not in str(caught.value)


def test_coefficients_that_do_not_fit() -> None:
    x, y = rows(5, 2, np.float32), np.array([3e38, -3e38, 3e38, -3e38, 0], dtype=np.float32)
    with pytest.raises(ValueError, match="too large for their type"):
        kernels.krr_fit(x, y, gamma=1e-9, alpha=1e-3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [200, FLOAT_ROWS])
def test_alpha_that_leaves_nothing_of_the_kernel(n: int, dtype: Any) -> None:
    x, y = rows(n, 3), rows(n, 1, seed=1)[:, 0]
    x, y = x.astype(dtype), y.astype(dtype)
    for alpha in (3e13, 1e20, 1e37, 1e39, 1e100, 1e300):
        expected = y.astype(np.float64) / alpha
        # K is at most n / alpha of alpha; the smallest float32 is for results below its normal numbers.
        limit = (2 * n / alpha + 4 * np.finfo(dtype).eps) * np.abs(expected).max()
        limit += 0 if dtype == np.float64 else np.finfo(np.float32).smallest_subnormal
        factor = kernels.krr_factor(x, gamma=0.1, alpha=alpha)
        np.testing.assert_allclose(kernels.krr_fit(x, y, gamma=0.1, alpha=alpha), expected, rtol=0, atol=limit)
        np.testing.assert_allclose(factor.solve(y), expected, rtol=0, atol=limit)
        assert factor.condition == pytest.approx(1)
        np.testing.assert_allclose(factor.variance(x[:5]), np.ones(5), rtol=0, atol=n / alpha + np.finfo(dtype).eps)


@pytest.mark.parametrize("targets", [(), (3,)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_batches_are_those_of_each(dtype: Any, targets: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((5, 8, 41)).astype(dtype).transpose(0, 2, 1)  # through strides
    z = random.standard_normal((5, 19, 8)).astype(dtype)
    y = random.standard_normal((5, 41, *targets)).astype(dtype)
    gammas, alphas = [0.1, 0.2, 0.3, 0.4, 0.5], np.array([1.0, 2.0, 0.1, 0.2, 0.3])
    coef = kernels.krr_fit(x, y, gamma=gammas, alpha=alphas)
    product = kernels.rbf_matvec(z, x, coef, gamma=gammas)
    common = kernels.rbf_matvec(z, x, coef, gamma=0.2)
    assert coef.shape == y.shape
    assert product.shape == (5, 19, *targets)
    for b in range(5):
        one = kernels.krr_fit(x[b], y[b], gamma=gammas[b], alpha=float(alphas[b]))
        assert np.array_equal(coef[b], one)
        assert np.array_equal(product[b], kernels.rbf_matvec(z[b], x[b], one, gamma=gammas[b]))
        assert np.array_equal(common[b], kernels.rbf_matvec(z[b], x[b], one, gamma=0.2))


def test_parameters_of_batches_from_a_generator() -> None:
    x, y = np.random.default_rng(0).standard_normal((2, 6, 1)), np.ones((2, 6))
    expected = kernels.krr_fit(x, y, gamma=[0.1, 0.2], alpha=np.float32(0.5))
    gammas = (gamma for gamma in (0.1, 0.2))
    np.testing.assert_array_equal(kernels.krr_fit(x, y, gamma=gammas, alpha=np.array(0.5)), expected)


def test_gamma_must_fit_the_dtype() -> None:
    x, coef = np.ones((3, 2), np.float32), np.ones(3, np.float32)
    with pytest.raises(ValueError, match=r"gamma must fit into float32, the dtype of x, but it is 1e\+300"):
        kernels.rbf_kernel(x, gamma=1e300)
    with pytest.raises(ValueError, match=r"gamma must fit into float32, the dtype of x, but it is 1e\+300"):
        kernels.rbf_matvec(x, x, coef, gamma=1e300)


def test_batches_that_do_not_fit() -> None:
    x, y = rows(12, 3).reshape(2, 6, 3), rows(2, 6)
    assert kernels.krr_fit(x[:0], y[:0], gamma=1.0, alpha=1.0).shape == (0, 6)
    with pytest.raises(
        ValueError, match="gamma must be a number or, in batches, one for each of them, but there are 3"
    ):
        kernels.krr_fit(x, y, gamma=[1.0, 1.0, 1.0], alpha=1.0)
    with pytest.raises(ValueError, match="alpha must be a number"):
        kernels.krr_fit(x[0], y[0], gamma=1.0, alpha=[1.0])
    with pytest.raises(ValueError, match=r"y must have as many rows as x, .* \(1, 6\) and \(2, 6, 3\)"):
        kernels.krr_fit(x, y[:1], gamma=1.0, alpha=1.0)
    with pytest.raises(ValueError, match="z must have as many batches as x"):
        kernels.rbf_matvec(x, x[:1], y[:1], gamma=1.0)
    with pytest.raises(ValueError, match="coef must have as many rows as z"):
        kernels.rbf_matvec(x, x, y[:1], gamma=1.0)
    x[1, 4] = x[1, 2]
    with pytest.raises(IllConditionedError, match=r"In batch 1: .* rows 2 and 4") as caught:
        kernels.krr_fit(x, y, gamma=1.0, alpha=0.0)
    assert caught.value.pivot == 4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "m", "alpha"), [(1, 1, 0.5), (30, 200, 1e-3), (250, 41, 0.1), (700, 130, 1e-6)])
def test_factor_equals_the_explicit_inverse(n: int, m: int, alpha: float, dtype: Any) -> None:
    x, z, y = rows(n, 6, dtype), rows(m, 6, dtype, 1), rows(n, 2, dtype, 2)
    matrix = regularised(x, 0.05, alpha).astype(np.float64)
    inverse = np.linalg.inv(matrix)
    factor = kernels.krr_factor(x, gamma=0.05, alpha=alpha)
    across = exact_kernel(z, x, 0.05).astype(np.float64)
    # The explicit inverse itself is only right to about the condition number, times n rounding errors.
    tolerance = 20 * EPS * np.linalg.cond(matrix) + np.finfo(dtype).eps
    variance = factor.variance(z)
    assert variance.dtype == dtype
    np.testing.assert_allclose(variance, 1 - np.sum(across @ inverse * across, axis=1), rtol=0, atol=tolerance)
    solved = factor.solve(y)
    np.testing.assert_allclose(solved, inverse @ y, rtol=0, atol=tolerance * np.abs(solved).max())
    assert np.array_equal(factor.solve(y[:, 0]), solved[:, 0])
    exact = np.linalg.cond(matrix, 1)
    assert exact / 3 <= factor.condition <= exact * (1 + tolerance)


def test_variance_at_rows_and_far_away() -> None:
    x = rows(200, 5)
    for alpha in (1e-8, 1e-4, 1e-2):
        factor = kernels.krr_factor(x, gamma=0.5, alpha=alpha)
        at_rows = factor.variance(x)
        # alpha - alpha^2 (K + alpha I)^-1_ii, which is at most alpha and at least 1 - 1 / (1 + alpha) by the row alone
        assert np.all(at_rows <= alpha + 1e-12)
        assert np.all(at_rows >= 0)
        assert at_rows.max() > alpha / 4
    assert np.array_equal(factor.variance(x + 1e3), np.ones(200))


def test_variance_of_nothing() -> None:
    none = kernels.krr_factor(np.empty((0, 3)), gamma=1.0, alpha=1.0)
    assert np.array_equal(none.variance(rows(4, 3)), np.ones(4))
    assert none.solve(np.empty(0)).shape == (0,)
    assert none.condition == 1
    assert kernels.krr_factor(rows(4, 3), gamma=1.0, alpha=1.0).variance(np.empty((0, 3))).shape == (0,)


@given(st.integers(1, 60), st.integers(0, 4), st.sampled_from([1e-6, 1e-3, 1.0]), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_variance_invariants(n: int, d: int, alpha: float, random: Any) -> None:
    seed = random.randrange(1000)
    x, z = rows(n, d, seed=seed), rows(25, d, seed=seed + 1)
    x[n // 2 :] = x[: n - n // 2]  # pairs
    variance = kernels.krr_factor(x, gamma=0.3, alpha=alpha).variance(z)
    assert ((variance >= 0) & (variance <= 1)).all()
    tolerance = 20 * n * EPS * n / alpha
    assert (kernels.krr_factor(x, gamma=0.3, alpha=2 * alpha).variance(z) >= variance - tolerance).all()
    order = np.array(random.sample(range(n), n))
    permuted = kernels.krr_factor(x[order], gamma=0.3, alpha=alpha).variance(z)
    np.testing.assert_allclose(permuted, variance, rtol=0, atol=tolerance)
    fewer = kernels.krr_factor(x[: max(1, n - 1)], gamma=0.3, alpha=alpha).variance(z)
    assert (fewer >= variance - tolerance).all()


def test_factor_refuses() -> None:
    x = rows(30, 3)
    factor = kernels.krr_factor(x, gamma=1.0, alpha=0.1)
    with pytest.raises(ValueError, match="z must have 3 columns like x"):
        factor.variance(x[:, :2])
    with pytest.raises(ValueError, match="y must have 30 rows like x"):
        factor.solve(x[:4, 0])
    with pytest.raises(TypeError, match="y must have the dtype of x, but they are float32 and float64"):
        factor.solve(x[:, 0].astype(np.float32))
    with pytest.raises(ValueError, match="finite numbers"):
        factor.variance(x * np.nan)
    with pytest.raises(ValueError, match="finite numbers"):
        factor.solve(x[:, 0] * np.inf)
    with pytest.raises(ValueError, match="alpha must be"):
        kernels.krr_factor(x, gamma=1.0, alpha=-1.0)
    with pytest.raises(ValueError, match="gamma must be"):
        kernels.krr_factor(x, gamma=np.nan, alpha=1.0)
    x[9] = x[8]
    with pytest.raises(IllConditionedError, match="rows 8 and 9"):
        kernels.krr_factor(x, gamma=1.0, alpha=0.0)


def test_factor_of_torch() -> None:
    x = torch.from_numpy(rows(50, 4))
    factor = kernels.krr_factor(x, gamma=0.3, alpha=0.1)
    assert isinstance(factor.variance(x), torch.Tensor)
    same = kernels.krr_factor(x.numpy(), gamma=0.3, alpha=0.1)
    assert np.array_equal(factor.variance(x).numpy(), same.variance(x.numpy()))


DIGEST = """
import hashlib, numpy as np
from ssiqa import kernels
digest = hashlib.sha256()
random = np.random.default_rng(0)
x, y = random.standard_normal((1000, 30)), random.standard_normal((1000, 3))
for alpha in (1e-10, 0.1):
    digest.update(kernels.krr_fit(x, y, gamma=0.01, alpha=alpha))
digest.update(kernels.krr_fit(x.reshape(10, 100, 30), y.reshape(10, 100, 3), gamma=0.01, alpha=0.1))
factor = kernels.krr_factor(x, gamma=0.01, alpha=0.1)
digest.update(factor.variance(x[:333] + 0.1))
digest.update(factor.solve(y))
print(digest.hexdigest())
"""


def test_results_do_not_depend_on_threads() -> None:
    digests = set()
    for threads in ("1", "2", "5"):
        environment = os.environ | {"SSIQA_NUM_THREADS": threads}
        command = [sys.executable, "-c", DIGEST]
        digests.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(digests) == 1


def test_variance_workspace_is_bounded() -> None:
    code = """
import resource, numpy as np
from ssiqa import kernels
random = np.random.default_rng(0)
factor = kernels.krr_factor(random.standard_normal((1500, 8)), gamma=0.1, alpha=0.1)
z = random.standard_normal((60_000, 8))
factor.variance(z[:100])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
factor.variance(z)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(result.stdout) * 1024 < 70e6  # the kernel against all of z would be 720 MB


def test_memory_of_many_batches() -> None:
    code = """
import resource, numpy as np
from ssiqa import kernels
random = np.random.default_rng(0)
x, y = random.standard_normal((12, 1200, 3)), random.standard_normal((12, 1200))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
kernels.krr_fit(x, y, gamma=0.1, alpha=0.1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    environment = os.environ | {"SSIQA_NUM_THREADS": "12"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(result.stdout) * 1024 < 96 * 2**20  # all of them at once would take 120 MiB or more


def test_error_of_the_variance() -> None:
    """The stated one, where alpha is small: rows on a line, whose kernel matrix is singular to rounding."""
    n = 40
    x, z = np.linspace(-2, 2, n)[:, None], np.linspace(-2.1, 2.1, 33)[:, None]
    across = exact_kernel(z, x, 1.0)
    for alpha in (1e-8, 1e-5, 1e-2):
        matrix = regularised(x, 1.0, alpha)
        factor = np.eye(n, dtype=np.longdouble)
        for i in range(n):  # L D L' in extended precision
            factor[i:, i] = matrix[i:, i] / matrix[i, i]
            matrix[i + 1 :, i + 1 :] -= np.outer(factor[i + 1 :, i], matrix[i, i + 1 :])
        solved = across.T.copy()
        for i in range(n):
            solved[i + 1 :] -= np.outer(factor[i + 1 :, i], solved[i])
        exact = 1 - (solved**2 / np.diag(matrix)[:, None]).sum(axis=0)
        error = np.abs(kernels.krr_factor(x, gamma=1.0, alpha=alpha).variance(z) - exact).max()
        assert error <= n * EPS * (n + alpha) / alpha
