"""Rows that are streamed get the same predictions as rows that are there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssiqa import gpu, kernels, streaming


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu() -> None:
    with pytest.raises(ValueError, match="There is no GPU to stream to"):
        streaming.rbf_matvec_streamed(np.eye(2), np.eye(2), np.ones(2), gamma=1.0)


@pytest.mark.gpu
@pytest.mark.skipif(gpu.why_no_kernels() is not None, reason=f"no kernels on a GPU: {gpu.why_no_kernels()}")
@pytest.mark.parametrize("targets", [(), (3,)])
@pytest.mark.parametrize("n", [0, 1, 100, 700, 2500])
def test_pieces_are_what_the_whole_is(n: int, targets: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "ROWS", 300)
    rng = np.random.default_rng(0)
    x, z, coef = (rng.standard_normal(shape).astype(np.float32) for shape in ((n, 200), (900, 200), (900, *targets)))
    everywhere = [
        device for device in range(torch.cuda.device_count()) for _ in range(2)
    ]  # also with one GPU, by turns
    found = streaming.rbf_matvec_streamed(x, z, coef, gamma=0.01, devices=everywhere)
    assert isinstance(found, np.ndarray)
    assert found.shape == (n, *targets)
    scale = kernels.rbf_matvec(x, z, np.abs(coef), gamma=0.01)
    assert (np.abs(found - kernels.rbf_matvec(x, z, coef, gamma=0.01)) <= 2e-5 * scale).all()


@pytest.mark.gpu
@pytest.mark.skipif(gpu.why_no_kernels() is not None, reason=f"no kernels on a GPU: {gpu.why_no_kernels()}")
def test_rows_on_a_gpu_are_not_streamed() -> None:
    x = torch.eye(2, device="cuda")
    with pytest.raises(ValueError, match="x must be in CPU memory to be streamed"):
        streaming.rbf_matvec_streamed(x, x, x[0], gamma=1.0)
