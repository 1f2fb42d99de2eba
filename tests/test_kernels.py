"""The native kernels against closed forms in extended precision, scikit-learn and their own invariants."""

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn import kernel_ridge
from sklearn.metrics import pairwise

from ssiqa import _core, kernels
from ssiqa.errors import IllConditionedError

DTYPES = [np.float32, np.float64]
SIZES = [(1, 1, 1), (1, 7, 3), (5, 1, 1), (33, 50, 17), (97, 193, 192), (130, 260, 385)]


def rows(n: int, d: int, dtype: Any = np.float64, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


def product_error(dtype: Any) -> float:
    """What the product of two rows may be off by, relative to their lengths, beside rounding: AMX splits floats."""
    return 3 * 2.0**-16 if _core.isa() == "amx" and dtype == np.float32 else 0.0


def exact_distances(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    difference = x[:, None, :].astype(np.longdouble) - y[None, :, :].astype(np.longdouble)
    return np.sum(difference**2, axis=-1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "m", "d"), SIZES)
def test_closed_form(n: int, m: int, d: int, dtype: Any) -> None:
    x, y, coef = rows(n, d, dtype, 1), rows(m, d, dtype, 2), rows(m, 2, dtype, 3)
    gamma = 0.5 / d
    longest = max(np.square(part - y.mean(axis=0)).sum(axis=1).max() for part in (x, y))
    tolerance = np.finfo(dtype).eps * (8 + np.sqrt(d)) + 4 * gamma * longest * product_error(dtype)
    distances = exact_distances(x, y)
    kernel = np.exp(-gamma * distances)
    np.testing.assert_allclose(kernels.squared_distances(x, y), distances, rtol=0, atol=4 * d * tolerance)
    np.testing.assert_allclose(kernels.rbf_kernel(x, y, gamma=gamma), kernel, rtol=0, atol=tolerance)
    scale = np.abs(kernel) @ np.abs(coef)
    assert np.all(np.abs(kernels.rbf_matvec(x, y, coef, gamma=gamma) - kernel @ coef) <= tolerance * scale * 2)


def test_scikit_learn() -> None:
    x, y, targets = rows(200, 40), rows(300, 40, seed=1), rows(200, 3, seed=2)
    np.testing.assert_allclose(
        kernels.squared_distances(x, y), pairwise.euclidean_distances(x, y, squared=True), rtol=1e-12
    )
    np.testing.assert_allclose(
        kernels.rbf_kernel(x, y, gamma=0.02), pairwise.rbf_kernel(x, y, gamma=0.02), rtol=0, atol=1e-14
    )
    reference = kernel_ridge.KernelRidge(kernel="rbf", gamma=0.02, alpha=0.1).fit(x, targets)
    coef = kernels.krr_fit(x, targets, gamma=0.02, alpha=0.1)
    np.testing.assert_allclose(coef, reference.dual_coef_, rtol=0, atol=1e-11)
    np.testing.assert_allclose(kernels.rbf_matvec(y, x, coef, gamma=0.02), reference.predict(y), rtol=0, atol=1e-11)


@pytest.mark.parametrize("dtype", DTYPES)
def test_krr_solves_in_double(dtype: Any) -> None:
    x, y = rows(150, 20, dtype), rows(150, 1, dtype, 1)[:, 0]
    kernel = np.exp(-0.01 * exact_distances(x, x)).astype(np.float64)
    expected = np.linalg.solve(kernel + 1e-3 * np.eye(150), y.astype(np.float64))
    coef = kernels.krr_fit(x, y, gamma=0.01, alpha=1e-3)
    assert coef.dtype == dtype
    assert coef.shape == (150,)
    np.testing.assert_allclose(coef, expected, rtol=0, atol=np.abs(expected).max() * max(np.finfo(dtype).eps, 1e-11))


@pytest.mark.parametrize("dtype", DTYPES)
def test_krr_names_the_pivot(dtype: Any) -> None:
    x = rows(30, 4, dtype)
    x[17] = x[3]
    with pytest.raises(IllConditionedError, match="larger alpha") as caught:
        kernels.krr_fit(x, x[:, 0], gamma=0.5, alpha=0.0)
    assert caught.value.pivot == 17
    assert np.isfinite(kernels.krr_fit(x, x[:, 0], gamma=0.5, alpha=1e-6)).all()


def test_krr_shows_a_tiny_alpha() -> None:
    x = np.ones((5, 2))
    with pytest.raises(IllConditionedError, match=r"alpha = 1e-18 is not"):
        kernels.krr_fit(x, x[:, 0], gamma=0.5, alpha=1e-18)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_identical_rows_are_exact(dtype: Any, shift: float) -> None:
    x = rows(101, 300, dtype) + dtype(shift)
    y = np.concatenate([x[::-1], x])
    distances = kernels.squared_distances(x, y)
    kernel = kernels.rbf_kernel(x, y, gamma=0.3)
    for i in range(101):
        assert distances[i, 100 - i] == distances[i, 101 + i] == 0
        assert kernel[i, 100 - i] == kernel[i, 101 + i] == 1
    symmetric = kernels.squared_distances(x)
    assert np.array_equal(symmetric, symmetric.T)
    assert np.array_equal(symmetric, kernels.squared_distances(x, x.copy()))


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_offset_costs_nothing(dtype: Any) -> None:
    x = np.round(rows(80, 30, dtype) * 64) / 64
    shifted = x + dtype(4096)  # exact: the sums need no more bits than the type has
    longest = np.square(x - x.mean(axis=0)).sum(axis=1).max()
    bound = 60 * 40 * np.finfo(dtype).eps + 2 * 4 * longest * product_error(dtype)
    np.testing.assert_allclose(kernels.squared_distances(shifted), kernels.squared_distances(x), rtol=0, atol=bound)


coordinates = st.floats(-100, 100, width=32)


@given(st.data(), st.sampled_from(DTYPES))
@settings(max_examples=60, deadline=None)
def test_distance_invariants(data: st.DataObject, dtype: Any) -> None:
    n, d = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 9))
    x = data.draw(hnp.arrays(dtype, (n, d), elements=coordinates))
    order = np.array(data.draw(st.permutations(range(n))))
    distances = kernels.squared_distances(x)
    assert (distances >= 0).all()
    assert (np.diagonal(distances) == 0).all()
    bound = 1e5 * d * (np.finfo(dtype).eps + product_error(dtype))
    np.testing.assert_allclose(distances, exact_distances(x, x), rtol=0, atol=bound * 4)
    np.testing.assert_allclose(kernels.squared_distances(x[order]), distances[order][:, order], rtol=0, atol=bound * 4)
    kernel = kernels.rbf_kernel(x, gamma=0.01)
    assert ((kernel >= 0) & (kernel <= 1)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_batches_equal_single_calls(dtype: Any) -> None:
    x = rows(6 * 20, 12, dtype).reshape(6, 20, 12)
    y = rows(6 * 31, 12, dtype, 1).reshape(6, 31, 12)
    batched = kernels.rbf_kernel(x, y, gamma=0.1)
    assert batched.shape == (6, 20, 31)
    for one, left, right in zip(batched, x, y, strict=True):
        assert np.array_equal(one, kernels.rbf_kernel(left, right, gamma=0.1))
    symmetric = kernels.squared_distances(x[:1])
    assert np.array_equal(symmetric[0], kernels.squared_distances(x[0]))


def test_empty_inputs() -> None:
    x, none = rows(3, 4), np.empty((0, 4))
    assert kernels.squared_distances(none).shape == (0, 0)
    assert kernels.squared_distances(x, none).shape == (3, 0)
    assert np.array_equal(kernels.rbf_kernel(np.empty((2, 0)), gamma=1.0), np.ones((2, 2)))
    assert kernels.rbf_kernel(np.empty((0, 3, 4)), gamma=1.0).shape == (0, 3, 3)
    assert np.array_equal(kernels.rbf_matvec(x, none, np.empty(0), gamma=1.0), np.zeros(3))
    assert kernels.krr_fit(none, np.empty(0), gamma=1.0, alpha=1.0).shape == (0,)
    assert kernels.smallest_difference(np.empty(0), np.empty(0), 0).shape == (0,)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_numbers_that_cannot_be_used(bad: float) -> None:
    x = rows(40, 5)
    y = x.copy()
    y[23, 4] = bad
    calls = [
        lambda: kernels.squared_distances(y),
        lambda: kernels.rbf_kernel(x, y, gamma=1.0),
        lambda: kernels.rbf_kernel(y, x, gamma=1.0),
        lambda: kernels.rbf_matvec(y, x, x[:, 0], gamma=1.0),
        lambda: kernels.krr_fit(y, x[:, 0], gamma=1.0, alpha=1.0),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="finite numbers"):
            call()


def test_arguments_that_do_not_fit() -> None:
    x = rows(4, 3)
    for gamma in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="gamma must be"):
            kernels.rbf_kernel(x, gamma=gamma)
    with pytest.raises(ValueError, match="alpha must be"):
        kernels.krr_fit(x, x[:, 0], gamma=1.0, alpha=-1.0)
    with pytest.raises(ValueError, match="y must hold finite numbers"):
        kernels.krr_fit(x, x[:, 0] * np.nan, gamma=1.0, alpha=1.0)
    with pytest.raises(ValueError, match=r"y must have as many columns as x, .* \(4, 2\) and \(4, 3\)"):
        kernels.squared_distances(x, x[:, :2])
    with pytest.raises(ValueError, match="2 or 3 axes"):
        kernels.squared_distances(x[0])
    with pytest.raises(ValueError, match="as many rows as z"):
        kernels.rbf_matvec(x, x, x[:3, 0], gamma=1.0)
    with pytest.raises(TypeError, match="y must have the dtype of x"):
        kernels.squared_distances(x, x.astype(np.float32))
    with pytest.raises(TypeError, match="float32 or float64, but it has int64"):
        kernels.squared_distances(np.arange(6).reshape(2, 3))
    with pytest.raises(TypeError, match="but it is a list"):
        kernels.squared_distances([[1.0]])  # type: ignore[type-var]
    with pytest.raises(ValueError, match="k must be from 0 to the 4 elements there are, but it is 5"):
        kernels.smallest_difference(x[:, 0], x[:, 1], 5)
    with pytest.raises(ValueError, match="k must be from 0 to the"):
        kernels.smallest_difference(x[:, 0], x[:, 1], -1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_torch_in_torch_out(dtype: torch.dtype) -> None:
    x = torch.from_numpy(rows(50, 9)).to(dtype)
    kernel = kernels.rbf_kernel(x, gamma=0.1)
    coef = kernels.krr_fit(x, x[:, 0], gamma=0.1, alpha=0.5)
    product = kernels.rbf_matvec(x, x, coef, gamma=0.1)
    chosen = kernels.smallest_difference(x[:, 0], x[:, 1], 7)
    assert {kernel.dtype, coef.dtype, product.dtype} == {dtype}
    assert chosen.dtype == torch.int64
    assert np.array_equal(kernel.numpy(), kernels.rbf_kernel(x.numpy(), gamma=0.1))
    assert np.array_equal(chosen.numpy(), kernels.smallest_difference(x[:, 0].numpy(), x[:, 1].numpy(), 7))
    torch.testing.assert_close(product, kernel @ coef)


def test_kernels_do_not_import_torch() -> None:
    code = "import sys, numpy as np; from ssiqa import kernels; kernels.rbf_kernel(np.ones((2, 2)), gamma=1.0)"
    subprocess.run([sys.executable, "-c", code + "; assert 'torch' not in sys.modules"], check=True)


DIGEST = """
import hashlib, numpy as np
from ssiqa import _core, kernels
digest = hashlib.sha256()
worst = 0.0
for dtype in (np.float32, np.float64):
    x = np.random.default_rng(0).standard_normal((700, 260)).astype(dtype)
    y = x[:650, ::-1]
    kernel = kernels.rbf_kernel(x, y, gamma=2e-3)
    d2 = ((x[:, None].astype(float) - y[None, :50]) ** 2).sum(-1)
    unit = np.finfo(dtype).eps
    if _core.isa() == "amx" and dtype == np.float32:
        unit += 4 * 2e-3 * 400 * 3 * 2**-16 / 24  # four products of rows, whose squares are below 400, to 3 * 2^-16
    worst = max(worst, np.abs(kernel[:, :50] - np.exp(-2e-3 * d2)).max() / unit)
    assert (kernels.squared_distances(x, np.repeat(x, 2, axis=0))[np.arange(700), np.arange(700) * 2 + 1] == 0).all()
    for result in (
        kernel,
        kernels.rbf_kernel(x, gamma=2e-3),
        kernels.rbf_matvec(x, y, y[:, :2], gamma=2e-3),
        kernels.smallest_difference(np.tile(x[:, 0], 600), np.tile(x[:, 1], 600), 5000),
    ):
        digest.update(np.ascontiguousarray(result))
print(_core.isa(), _core.n_threads(), worst, digest.hexdigest())
"""


def in_fresh_process(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=False
    )


def available_isas() -> list[str]:
    found = ["baseline"]
    if {"avx2", "fma"} <= set(_core.cpu_features()):
        found.append("avx2")
    if {"avx512f", "avx512vl", "avx512bw", "avx512dq"} <= set(_core.cpu_features()):
        found.append("avx512")
    # The system may refuse the tiles, and the compiler may not know them.
    if {"amx_tile", "amx_bf16"} <= set(_core.cpu_features()) and "amx" in _core.available_isas():
        found.append("amx")
    return found


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512", "amx"])
def test_each_instruction_set_for_any_number_of_threads(isa: str) -> None:
    if isa not in available_isas():
        pytest.skip(f"this processor, system or build lacks {isa}")
    digests = set()
    for threads in ("1", "2", "5"):
        result = in_fresh_process(DIGEST, SSIQA_CPU_ISA=isa, SSIQA_NUM_THREADS=threads)
        assert result.returncode == 0, result.stderr
        name, count, worst, digest = result.stdout.split()
        assert (name, count) == (isa, threads)
        assert float(worst) < 24
        digests.add(digest)
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [("SSIQA_CPU_ISA", "mmx", "allow only: baseline"), ("SSIQA_NUM_THREADS", "-2", "whole number from 1")],
)
def test_settings_that_do_not_exist(variable: str, value: str, message: str) -> None:
    result = in_fresh_process("import ssiqa._core", **{variable: value})
    assert result.returncode != 0
    assert message in result.stderr.strip().splitlines()[-1]


def test_what_the_core_says_of_itself() -> None:
    assert _core.isa() in available_isas()
    assert _core.n_threads() >= 1
    assert _core.compiler()
