"""What must hold of the fused product whatever the numbers are, how accurate it is, and how much memory it takes."""

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ssiqa import _core, kernels

DTYPES = [np.float32, np.float64]
STATED_ERROR = 1e-5  # of rbf_matvec in float32, relative to the sum of K |coef|


def rows(n: int, d: int, seed: int, dtype: Any = np.float64) -> NDArray[Any]:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


def product(x: NDArray[Any], z: NDArray[Any], coef: NDArray[Any], gamma: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """K @ coef and K @ |coef| in float64, from differences, which lose nothing by cancellation."""
    left, right = x.astype(np.float64), z.astype(np.float64)
    kernel = np.exp(-gamma * np.stack([((row - right) ** 2).sum(axis=1) for row in left]))
    return kernel @ coef.astype(np.float64), kernel @ np.abs(coef.astype(np.float64))


def problems() -> st.SearchStrategy[tuple[NDArray[Any], NDArray[Any], NDArray[Any], float]]:
    """Rows x and z, coefficients and a gamma that neither makes all kernels 0 nor all of them 1."""

    def build(n: int, m: int, d: int, seed: int, dtype: Any, width: float) -> Any:
        return rows(n, d, seed, dtype), rows(m, d, seed + 1, dtype), rows(m, 1, seed + 2, dtype)[:, 0], width / d

    return st.builds(
        build,
        st.integers(1, 40),
        st.integers(1, 250),
        st.integers(1, 60),
        st.integers(0, 10_000),
        st.sampled_from(DTYPES),
        st.floats(0.05, 2),
    )


def tolerance(x: NDArray[Any], z: NDArray[Any], coef: NDArray[Any], gamma: float) -> NDArray[Any]:
    """What rounding can cost, at worst.

    A norm or dot product of d terms is off by up to about d units in the last place of the norms, four of them make up
    a distance, and gamma times that is the relative error of one kernel; adding m of those up costs m units more.
    AMX splits floats into parts and leaves out the product of the small ones: 3 * 2^-16 of each product.
    """
    centre = z.astype(np.float64).mean(axis=0)
    norms = max(float(((part - centre) ** 2).sum(axis=1).max()) for part in (x, z))
    units = 4 * x.shape[1] * gamma * norms + len(z) + 8
    split = 3 * 2.0**-16 if _core.isa() == "amx" and x.dtype == np.float32 else 0.0
    return (np.finfo(x.dtype).eps * units + 4 * gamma * norms * split) * product(x, z, coef, gamma)[1]


@given(problems(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_permutation(problem: Any, random: Any) -> None:
    x, z, coef, gamma = problem
    result = kernels.rbf_matvec(x, z, coef, gamma=gamma)
    order = np.array(random.sample(range(len(x)), len(x)))
    assert np.array_equal(kernels.rbf_matvec(x[order], z, coef, gamma=gamma), result[order])
    order = np.array(random.sample(range(len(z)), len(z)))
    permuted = kernels.rbf_matvec(x, z[order], coef[order], gamma=gamma)
    assert np.all(np.abs(permuted - result) <= tolerance(x, z, coef, gamma))


@given(problems(), st.integers(-8, 8))
@settings(max_examples=60, deadline=None)
def test_gamma_is_a_scale(problem: Any, power: int) -> None:
    x, z, coef, gamma = problem
    gamma = float(x.dtype.type(gamma))
    scale = x.dtype.type(2.0**power)  # exact, so that not a bit may change
    scaled = kernels.rbf_matvec(x * scale, z * scale, coef, gamma=gamma / 4.0**power)
    assert np.array_equal(scaled, kernels.rbf_matvec(x, z, coef, gamma=gamma))


@given(problems(), st.integers(-1000, 1000), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_translation_and_rotation(problem: Any, shift: int, seed: int) -> None:
    x, z, coef, gamma = problem
    x, z, coef = (np.round(part * 64).astype(np.float64) / 64 for part in (x, z, coef))
    expected = kernels.rbf_matvec(x, z, coef, gamma=gamma)
    bound = 2 * tolerance(x, z, coef, gamma)
    assert np.all(np.abs(kernels.rbf_matvec(x + shift, z + shift, coef, gamma=gamma) - expected) <= bound)
    rotation, _ = np.linalg.qr(rows(x.shape[1], x.shape[1], seed))
    assert np.all(np.abs(kernels.rbf_matvec(x @ rotation, z @ rotation, coef, gamma=gamma) - expected) <= 4 * bound)


@given(problems(), st.floats(-4, 4), st.floats(-4, 4))
@settings(max_examples=60, deadline=None)
def test_linearity(problem: Any, a: float, b: float) -> None:
    x, z, coef, gamma = problem
    a, b = x.dtype.type(a), x.dtype.type(b)
    both = np.stack([coef, coef[::-1]], axis=1)
    first, second = kernels.rbf_matvec(x, z, both, gamma=gamma).T
    mixed = kernels.rbf_matvec(x, z, a * both[:, 0] + b * both[:, 1], gamma=gamma)
    bound = abs(a) * tolerance(x, z, both[:, 0], gamma) + abs(b) * tolerance(x, z, both[:, 1], gamma)
    assert np.all(np.abs(mixed - (a * first + b * second)) <= 2 * bound + np.finfo(x.dtype).tiny)


@given(problems())
@settings(max_examples=60, deadline=None)
def test_closed_form(problem: Any) -> None:
    x, z, coef, gamma = problem
    exact, _ = product(x, z, coef, gamma)
    assert np.all(np.abs(kernels.rbf_matvec(x, z, coef, gamma=gamma) - exact) <= tolerance(x, z, coef, gamma))
    if x.dtype == np.float32:
        single = kernels.rbf_matvec(x, z, coef, gamma=gamma, accumulate="float32")
        assert np.all(np.abs(single - exact) <= tolerance(x, z, coef, gamma))


@pytest.mark.parametrize("accumulate", ["float32", "float64"])
@pytest.mark.parametrize("offset", [0.0, 1e3, 1e4])
@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("d", [192, 384, 768, 1280])
def test_stated_error(d: int, near: bool, offset: float, accumulate: Any) -> None:
    z = rows(1000, d, 1)
    x = z[:200] + 1e-3 * rows(200, d, 2) if near else rows(200, d, 2)
    x, z = (x + offset).astype(np.float32), (z + offset).astype(np.float32)
    coef = rows(1000, 1, 3, np.float32)[:, 0]
    # Of one sign too, so that errors of one sign cannot cancel.
    for gamma in (0.25 / d, 1 / d) if _core.isa() == "amx" else (0.25 / d, 1 / d, 4 / d):
        for weights in (coef, np.ones_like(coef)):
            exact, scale = product(x, z, weights, gamma)
            result = kernels.rbf_matvec(x, z, weights, gamma=gamma, accumulate=accumulate)
            assert np.max(np.abs(result - exact) / scale) <= STATED_ERROR


def test_accumulate_must_fit() -> None:
    x = rows(3, 2, 0)
    with pytest.raises(ValueError, match="accumulate must be 'float64', or 'float32' for float32 arrays"):
        kernels.rbf_matvec(x, x, x[:, 0], gamma=1.0, accumulate="float32")


def test_many_targets_in_stretches() -> None:
    x, z, coef = rows(300, 5, 0), rows(700, 5, 1), rows(700, 4000, 2)  # sums and coefficients of several stretches
    result = kernels.rbf_matvec(x, z, coef, gamma=0.1)
    for column in (0, 1999, 3999):
        single = kernels.rbf_matvec(x, z, np.ascontiguousarray(coef[:, column]), gamma=0.1)
        assert np.array_equal(result[:, column], single)  # around one centre, so that not a bit may change


@pytest.mark.parametrize("accumulate", ["float32", "float64"])
@pytest.mark.parametrize("m", [8, 192, 1000])
def test_coefficients_near_the_largest_number(m: int, accumulate: Any) -> None:
    x = np.ones((m, 3), np.float32)
    coef = np.full((m, 2), 1.5 * 2.0**127, np.float32)
    coef[m // 2 :, 0] *= -1  # the sum of them is 0, and the halves of it overflow
    coef[:, 1] = 1
    product = kernels.rbf_matvec(x, x, coef, gamma=1.0, accumulate=accumulate)
    assert np.array_equal(product, np.tile(np.array([0, m], np.float32), (m, 1)))
    with pytest.raises(ValueError, match="The product is too large for its type"):
        kernels.rbf_matvec(x, x, np.abs(coef), gamma=1.0, accumulate=accumulate)


def test_coefficients_near_the_largest_double() -> None:
    x, coef = np.ones((1000, 3)), np.full(1000, 1.5 * 2.0**1023)
    coef[500:] *= -1
    assert not kernels.rbf_matvec(x, x, coef, gamma=1.0).any()


def test_memory_does_not_grow_with_the_rows() -> None:
    """The product's own memory stays below 64 MiB, and ten times the rows take no more of it."""
    code = """
import resource, sys
import numpy as np
from ssiqa import _core, kernels
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
rows = int(sys.argv[1])
x, z = np.ones((rows, 8), np.float32), np.ones((20_000, 8), np.float32)
coef, out = np.ones(20_000, np.float32), np.ones(rows, np.float32)
before = peak()
del out  # its pages are there for the result
kernels.rbf_matvec(x, z, coef, gamma=0.1)
print(peak() - before)
"""
    growth = [
        int(subprocess.run([sys.executable, "-c", code, str(m)], capture_output=True, text=True, check=True).stdout)
        for m in (20_000, 200_000)
    ]
    assert max(growth) < 64 * 2**20
    assert growth[1] - growth[0] < 8 * 2**20


def test_memory_of_many_batches() -> None:
    """Each needs more than 8 MiB; on 32 threads all at once they would need more than 256 MiB."""
    code = """
import resource
import numpy as np
from ssiqa import kernels
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
z = np.broadcast_to(np.ones((10_000, 256), np.float32), (32, 10_000, 256))
x, coef = z[:, :16], z[:, :, 0]
before = peak()
kernels.rbf_matvec(x, z, coef, gamma=0.1)
print(peak() - before)
"""
    environment = os.environ | {"SSIQA_NUM_THREADS": "32"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(result.stdout) < 112 * 2**20  # 64 for the batches, 48 for the threads
