"""The same results the way people get them today."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel

TORCH_ROWS = 4096


def fitted(z: NDArray[Any], coef: NDArray[Any], gamma: float) -> KernelRidge:
    """scikit-learn's estimator with given coefficients, as if it had been fitted to them."""
    model = KernelRidge(kernel="rbf", gamma=gamma)
    model.X_fit_, model.dual_coef_ = z, coef
    model.n_features_in_ = z.shape[1]
    return model


def numpy_predict(x: NDArray[Any], z: NDArray[Any], coef: NDArray[Any], gamma: float) -> NDArray[Any]:
    distances = (x * x).sum(axis=1)[:, None] + (z * z).sum(axis=1) - 2 * (x @ z.T)
    np.maximum(distances, 0, out=distances)
    distances *= -gamma
    return np.asarray(np.exp(distances, out=distances) @ coef)


def torch_predict(x: torch.Tensor, z: torch.Tensor, coef: torch.Tensor, gamma: float) -> torch.Tensor:
    """Blocks of rows: product plus norms in one call, then clamp, exponential and product, each a pass over them."""
    norms = (z * z).sum(dim=1)
    out = torch.empty(len(x), dtype=x.dtype)
    for start in range(0, len(x), TORCH_ROWS):
        part = x[start : start + TORCH_ROWS]
        offsets = (part * part).sum(dim=1)[:, None] + norms
        distances = torch.baddbmm(offsets[None], part[None], z.T[None], alpha=-2)[0]
        torch.mv(distances.clamp_(min=0).mul_(-gamma).exp_(), coef, out=out[start : start + TORCH_ROWS])
    return out


def torch_fit(x: torch.Tensor, y: torch.Tensor, gamma: float, alpha: float) -> torch.Tensor:
    kernel = torch.cdist(x, x).square_().mul_(-gamma).exp_()
    kernel.diagonal().add_(alpha)
    return torch.cholesky_solve(y[:, None], torch.linalg.cholesky(kernel))[:, 0]


def leave_one_out(x: NDArray[Any], y: NDArray[Any], gamma: float, alpha: float) -> NDArray[Any]:
    """Errors for one gamma and alpha, y not centred: scikit-learn's kernel, numpy's inverse and its diagonal."""
    inverse = np.linalg.inv(rbf_kernel(x, gamma=gamma) + alpha * np.eye(len(y)))
    return np.asarray(inverse @ y / np.diag(inverse))


def numpy_select(a: NDArray[Any], b: NDArray[Any], k: int) -> NDArray[Any]:
    """In no order, with arbitrary ties."""
    return np.argpartition(np.abs(a - b), k)[:k]


def torch_select(a: torch.Tensor, b: torch.Tensor, k: int) -> torch.Tensor:
    return torch.topk((a - b).abs(), k, largest=False).indices
