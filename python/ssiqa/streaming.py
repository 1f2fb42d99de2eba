"""Predictions for more rows than a GPU's memory holds: piece by piece from the CPU's, on one GPU or several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ssiqa import kernels

ROWS = 65_536
"""Of a piece. Two are in memory at once, here page-locked, and on each GPU: 200 MB of float32 rows of 384 features."""


def rbf_matvec_streamed(
    x: Any,
    z: Any,
    coef: Any,
    *,
    gamma: float,
    precision: Literal["high", "medium"] = "high",
    devices: Sequence[int | str] | None = None,
) -> Any:
    """`ssiqa.kernels.rbf_matvec` for rows in CPU memory, computed on GPUs while further rows are copied there.

    Args:
        x: (n, d) numpy array or torch tensor in CPU memory, float32 or float64.
        z: (m, d) of the same dtype, of either library, in any memory; each GPU gets a copy.
        coef: (m,) or (m, t), likewise.
        gamma: At least 0.
        precision: As for `rbf_matvec`.
        devices: GPUs, such as ``[0, 1]``; all that torch sees by default. Pieces are dealt out to them in turn.

    Returns:
        (n,) or (n, t), of the library of `x`, in CPU memory.

    Raises:
        ValueError: There is no GPU, or what `rbf_matvec` raises.

    Example:
        >>> rbf_matvec_streamed(features, centres, coef, gamma=0.01)  # doctest: +SKIP
        array([...])
    """
    found = range(torch.cuda.device_count()) if devices is None else devices
    places = [torch.device("cuda", device) if isinstance(device, int) else torch.device(device) for device in found]
    if not places:
        raise ValueError("There is no GPU to stream to; ssiqa.kernels.rbf_matvec computes on the CPU.")
    rows, others, weights = (torch.as_tensor(array) for array in (x, z, coef))
    if rows.is_cuda:
        raise ValueError("x must be in CPU memory to be streamed; ssiqa.kernels.rbf_matvec takes it where it is.")
    with torch.inference_mode(False):  # or no other thread might write to it
        out = torch.empty((len(rows), *weights.shape[1:]), dtype=rows.dtype)
    for given in (others, weights):
        if given.is_cuda:  # the threads that work have streams of their own
            torch.cuda.current_stream(given.device).synchronize()
    pieces = [slice(start, start + ROWS) for start in range(0, len(rows), ROWS)]

    def work(number: int) -> None:
        mine = pieces[number :: len(places)]
        _stream(places[number], rows, others, weights, out, mine, {"gamma": gamma, "precision": precision})

    with ThreadPoolExecutor(len(places)) as pool:
        list(pool.map(work, range(len(places))))
    return out.numpy() if isinstance(x, np.ndarray) else out


def _stream(
    device: torch.device, x: Tensor, z: Tensor, coef: Tensor, out: Tensor, pieces: Iterable[slice], settings: Any
) -> None:
    with torch.cuda.device(device):
        z, coef = z.to(device), coef.to(device)
        copying = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        slots = [_Slot(x, out, device) for _ in range(2)]
        copying.wait_stream(torch.cuda.current_stream())  # what had the slots' memory before may not be done with it
        for number, piece in enumerate(pieces):
            slot = slots[number % 2]
            slot.finish()
            rows = slot.bring(x[piece], copying)
            slot.keep(kernels.rbf_matvec(rows, z, coef, **settings), out[piece])
        for slot in slots:
            slot.finish()


class _Slot:
    """Room for a piece on its way to the GPU, and for what comes back."""

    def __init__(self, x: Tensor, out: Tensor, device: torch.device) -> None:
        size = min(ROWS, len(x))
        self._staged = torch.empty((size, *x.shape[1:]), dtype=x.dtype, pin_memory=True)
        self._rows = torch.empty_like(self._staged, device=device)
        self._result = torch.empty((size, *out.shape[1:]), dtype=out.dtype, pin_memory=True)
        self._arrived, self._done = (torch.cuda.Event() for _ in range(2))  # type: ignore[no-untyped-call]
        self._to: Tensor | None = None

    def bring(self, piece: Tensor, stream: torch.cuda.Stream) -> Tensor:
        """The piece in the GPU's memory, before whatever comes next on the current stream."""
        staged, rows = self._staged[: len(piece)], self._rows[: len(piece)]
        staged.copy_(piece)
        with torch.cuda.stream(stream):
            rows.copy_(staged, non_blocking=True)
            self._arrived.record()
        torch.cuda.current_stream().wait_event(self._arrived)
        return rows

    def keep(self, result: Tensor, to: Tensor) -> None:
        self._result[: len(to)].copy_(result, non_blocking=True)
        self._done.record()
        self._to = to

    def finish(self) -> None:
        """Waits for the result, so that the slot is free again."""
        if self._to is not None:
            self._done.synchronize()
            self._to.copy_(self._result[: len(self._to)])
            self._to = None
