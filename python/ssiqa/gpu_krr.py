"""Kernel ridge regression where torch's tensors are: our kernels, the factors and solves of torch's libraries.

The kernel matrix is built, and factorised, in place. Products with it in float64, for residuals, are computed as they
are needed and never stored. Tensors may be on the CPU as well, which is how all of this is tested without a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, onenormest
from torch import Tensor

from ssiqa.errors import IllConditionedError

FEW_ROWS = 1024
"""Up to here the factor in float64 takes no longer than one in float32 with its refinement."""
MAX_ITERATIONS, MAX_ROUNDS = 20, 5
UNIT = torch.finfo(torch.float64).eps / 2
GOAL, ACCEPTABLE = 0.1, 4
"""Lengths of residuals in units of UNIT (norm |x| + |b|): what is aimed at, and what does where no more is gained."""
LARGE_ALPHA = 2.0**100
"""K is rounded away next to it; the system is solved with no larger one, and the solution divided by the rest."""
BLOCK_BYTES = 2**28
"""Of new rows' kernels, at a time."""


class Rows(NamedTuple):
    """Features, and the native module that computes with them where they are."""

    native: Any
    values: Tensor

    def kernel(self, other: Tensor | None, gamma: float) -> Tensor:
        columns = self.values if other is None else other
        out = torch.empty((len(self.values), len(columns)), dtype=self.values.dtype, device=self.values.device)
        self.native.rbf_kernel(self.values, other, out, gamma)
        return out

    def product(self, coef: Tensor, gamma: float) -> Tensor:
        out = torch.empty(coef.shape, dtype=coef.dtype, device=coef.device)
        self.native.rbf_matvec(self.values, self.values, coef, out, [gamma], True)
        return out

    def to(self, dtype: torch.dtype) -> Rows:
        return Rows(self.native, self.values.to(dtype))


class System:
    """K + alpha I in float64, as a product."""

    def __init__(self, rows: Rows, gamma: float, alpha: float) -> None:
        self.rows, self.gamma, self.alpha = rows.to(torch.float64), gamma, alpha

    def __matmul__(self, vectors: Tensor) -> Tensor:
        return self.rows.product(vectors, self.gamma) + self.alpha * vectors

    def norm(self) -> float:
        """The 1-norm."""
        ones = torch.ones((len(self.rows.values), 1), dtype=torch.float64, device=self.rows.values.device)
        return float((self @ ones).max())


class Factor:
    """The Cholesky factor of K + alpha I, in the dtype of the rows.

    Attributes:
        bad: The row at which it was not positive definite, or None.
    """

    def __init__(self, rows: Rows, gamma: float, alpha: float) -> None:
        kernel = rows.kernel(None, gamma)
        kernel.diagonal().fill_(1 + alpha)
        lower = kernel.mT  # in the order of the libraries, which then need no copy
        info = torch.empty((), dtype=torch.int32, device=kernel.device)
        torch.linalg.cholesky_ex(lower, out=(lower, info))
        self.lower = lower
        bad = int(info) - 1
        if bad < 0:  # one that passes may be made of rounding error alone
            pivots = lower.diagonal().square()
            floor = len(lower) * torch.finfo(torch.float64).eps * (1 + alpha) if lower.dtype == torch.float64 else 0.0
            small = (pivots <= floor).nonzero()
            bad = int(small[0]) if len(small) else -1
        self.bad = None if bad < 0 else bad

    def half_solve(self, vectors: Tensor) -> Tensor:
        """L^-1 @ vectors."""
        return _triangular(self.lower, vectors.to(self.lower.dtype), upper=False)

    def solve(self, vectors: Tensor) -> Tensor:
        """(L L')^-1 @ vectors, each of which is brought to length 1 first, so that float32 can hold it."""
        lengths = _lengths(vectors)
        scales = torch.where(lengths > 0, lengths, 1)
        half = self.half_solve(vectors / scales)
        return _triangular(self.lower.mT, half, upper=True).to(vectors.dtype) * scales


def fit_batches(native: Any, x: Tensor, y: Tensor, gammas: list[float], alphas: list[float]) -> Tensor:
    """Coefficients in the shape and dtype of y: (b?, n, d) and (b?, n, t?).

    Raises:
        IllConditionedError: As `fit`; says in which batch.
        ValueError: Numbers are not finite, or the coefficients do not fit into the dtype.
    """
    _require_finite("x", x)
    _require_finite("y", y)
    if y.numel() == 0:
        return torch.empty_like(y)
    batches = x if x.ndim == 3 else x[None]
    columns = y.reshape(*batches.shape[:2], -1)
    found = torch.empty_like(columns, memory_format=torch.contiguous_format)
    for b, (rows, targets) in enumerate(zip(batches, columns, strict=True)):
        try:
            found[b] = fit(native, rows, targets, gammas[b], alphas[b])
        except IllConditionedError as error:
            if x.ndim == 2:
                raise
            raise IllConditionedError(f"In batch {b}: {error}", error.pivot, error.condition) from None
    if not bool(found.isfinite().all()):
        raise ValueError("The coefficients are too large for their type; make y smaller or alpha larger.")
    return found.reshape(y.shape)


def fit(native: Any, x: Tensor, y: Tensor, gamma: float, alpha: float) -> Tensor:
    """(K + alpha I)^-1 y as float64: (n, d) and (n, t) to (n, t). Waits for the GPU.

    Raises:
        IllConditionedError: K + alpha I is not numerically positive definite, or refinement did not converge.
    """
    used = min(alpha, LARGE_ALPHA)
    rows, targets = Rows(native, x), y.to(torch.float64)
    system, scales = System(rows, gamma, used), targets.abs().amax(dim=0).clamp(min=torch.finfo(torch.float64).tiny)
    norm = system.norm()
    types = [torch.float64] if len(x) <= FEW_ROWS else [torch.float32, torch.float64]
    for dtype in types:
        factor = Factor(rows.to(dtype), gamma, used)
        found = None if factor.bad is not None else refine(system, norm, factor, targets / scales)
        if found is not None:
            return found * scales * (used / alpha if alpha > used else 1)
        refusal = _refusal(factor, alpha, norm)
        del factor  # before the larger one is made
    raise refusal


def refine(system: System, norm: float, factor: Factor, b: Tensor) -> Tensor | None:
    """Conjugate gradients until every residual has come down to rounding error; None if they do not get there."""

    def unit(vectors: Tensor) -> Tensor:
        return UNIT * (norm * vectors + _lengths(b))

    def goal(length: Tensor, change: Tensor) -> Tensor:
        return GOAL / 2 * unit(length + _lengths(change))

    x, r = torch.zeros_like(b), b
    shortest = torch.full(b.shape[1:], torch.inf, dtype=b.dtype, device=b.device)
    iterations = iter(range(MAX_ITERATIONS))
    for _ in range(MAX_ROUNDS):
        change = _reduce(system, factor, r, partial(goal, _lengths(x)), iterations)
        if change is None:
            return None
        candidate = x + change
        r = b - system @ candidate
        left, limit = _lengths(r), unit(_lengths(candidate))
        better = left <= shortest
        x = torch.where(better, candidate, x)
        stalled = (left > shortest / 2) & (torch.minimum(shortest, left) <= ACCEPTABLE * limit)
        shortest = torch.minimum(shortest, left)
        if bool(((left <= GOAL * limit) | stalled).all()):
            return x
    return None


def _reduce(
    system: System, factor: Factor, r: Tensor, goal: Callable[[Tensor], Tensor], iterations: Iterator[int]
) -> Tensor | None:
    """The d that brings each r - A d to the length that goal(d) allows."""
    d = torch.zeros_like(r)
    z = factor.solve(r)
    direction, rho = z, (r * z).sum(dim=0)
    for _ in iterations:
        product = system @ direction
        step = _ratio(rho, (direction * product).sum(dim=0))
        d, r = d + step * direction, r - step * product
        if bool((_lengths(r) <= goal(d)).all()):
            return d
        z = factor.solve(r)
        before, rho = rho, (r * z).sum(dim=0)
        direction = z + _ratio(rho, before) * direction
    return None


class Posterior:
    """The float64 factor, for more right-hand sides and for the certainty of predictions."""

    def __init__(self, native: Any, x: Tensor, gamma: float, alpha: float) -> None:
        _require_finite("x", x)
        self._rows, self._gamma = Rows(native, x.to(torch.float64, copy=True)), gamma  # the caller may reuse x
        self._system = System(self._rows, gamma, alpha)
        self._norm = self._system.norm()
        self._factor = Factor(self._rows, gamma, alpha)
        if self._factor.bad is not None:
            raise _refusal(self._factor, alpha, self._norm)

    def solve(self, y: Tensor) -> Tensor:
        """(K + alpha I)^-1 y: (n, t) to (n, t)."""
        _require_finite("y", y)
        targets = y.to(torch.float64)
        found = refine(self._system, self._norm, self._factor, targets)
        return self._factor.solve(targets) if found is None else found

    def variance(self, z: Tensor) -> Tensor:
        """1 - k(z)' (K + alpha I)^-1 k(z): (m, d) to (m,)."""
        _require_finite("z", z)
        step = max(1, BLOCK_BYTES // (8 * len(self._rows.values)))
        return torch.cat([self._variance(part) for part in torch.split(z.to(torch.float64), step)])

    def _variance(self, z: Tensor) -> Tensor:
        half = self._factor.half_solve(self._rows.kernel(z, self._gamma))
        return (1 - half.square().sum(dim=0)).clamp(0, 1)

    def condition(self) -> float:
        """Of K + alpha I in the 1-norm, estimated from below."""
        n, device = len(self._rows.values), self._rows.values.device

        def solve(vectors: Any) -> Any:
            columns = torch.from_numpy(np.asarray(vectors, dtype=np.float64).reshape(n, -1)).to(device)
            return self._factor.solve(columns).cpu().numpy().reshape(np.shape(vectors))

        inverse = LinearOperator((n, n), matvec=solve, rmatvec=solve, matmat=solve, rmatmat=solve, dtype=np.float64)
        return self._norm * float(onenormest(inverse, t=1))  # one column: more begin with random ones


def inverses(kernel: Tensor, columns: Tensor, alphas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of G = (K + alpha I)^-1: for which alphas (a,) it exists, and for these G @ columns (u, n, t) and G_ii (u, n)."""
    values, vectors = torch.linalg.eigh(kernel)
    # As in the fit, an eigenvalue that is rounding error must not decide.
    usable = values[0] + alphas > len(values) * torch.finfo(torch.float64).eps * (1 + alphas)
    weights = 1 / (values + alphas[usable, None])
    solved = vectors @ (weights[:, :, None] * (vectors.mT @ columns))
    return usable, solved, weights @ vectors.square().mT


def _require_finite(name: str, values: Tensor) -> None:
    if not bool(values.isfinite().all()):
        raise ValueError(f"{name} must hold finite numbers.")


def _triangular(matrix: Tensor, vectors: Tensor, upper: bool) -> Tensor:
    solved: Tensor = torch.linalg.solve_triangular(matrix, vectors, upper=upper)
    return solved


def _lengths(vectors: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=0)
    return lengths


def _ratio(over: Tensor, under: Tensor) -> Tensor:
    return torch.where(under > 0, over / under, 0)


def _refusal(factor: Factor, alpha: float, norm: float) -> IllConditionedError:
    pivots, eps = factor.lower.diagonal().square(), torch.finfo(torch.float64).eps
    if factor.bad is None:
        row, what = int(pivots.argmin()), "so ill-conditioned that refinement did not converge, most"
        left = max(float(pivots[row]), eps)
    else:
        row, what, left = factor.bad, "not numerically positive definite", eps
    return IllConditionedError(
        f"The kernel matrix plus alpha = {alpha} is {what} at row {row}; use a larger alpha or gamma, or drop rows "
        "that are nearly the same.",
        row,
        norm / left,
    )
