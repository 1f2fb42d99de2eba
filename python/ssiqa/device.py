"""Where the network runs, and in which numbers."""

from __future__ import annotations

import functools
import logging

import torch

from ssiqa.errors import SsiqaError
from ssiqa.gpu import why_no_kernels

logger = logging.getLogger("ssiqa")

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "float32", "bfloat16")


def pick_device(name: str) -> torch.device:
    """``auto`` is a CUDA GPU where torch can use one, else the CPU.

    Raises:
        SsiqaError: Unknown name, or CUDA asked for where there is none.
    """
    if name not in DEVICES:
        raise SsiqaError(f"No device {name!r}; there are: {', '.join(DEVICES)}.")
    if name == "cuda" and (reason := why_no_cuda()):
        raise SsiqaError(f"device 'cuda' cannot be used: {reason}; use 'auto' or 'cpu'.")
    return torch.device("cpu" if name == "cpu" or why_no_cuda() else "cuda")


def pick_device_of_runs(name: str) -> torch.device:
    """As :func:`pick_device`, for what needs kernels of this package, too: ``auto`` is the CPU where a GPU has none.

    Raises:
        SsiqaError: As :func:`pick_device`, or ``cuda`` is asked for where there are no kernels for it.
    """
    device = pick_device(name)
    if device.type == "cpu" or not (reason := why_no_kernels(torch.cuda.current_device())):
        return device
    if name == "cuda":
        raise SsiqaError(f"device 'cuda' cannot be used: ssiqa has no kernels for it ({reason}); use 'auto' or 'cpu'.")
    _warn_of_unused(reason)
    return torch.device("cpu")


@functools.cache  # once
def _warn_of_unused(reason: str) -> None:
    logger.warning("The GPU is not used, because ssiqa has no kernels for it (%s).", reason)


def pick_precision(name: str, device: torch.device) -> str:
    """``auto`` is bfloat16 (mixed with float32) where the device computes it natively, else float32.

    Raises:
        SsiqaError: Unknown name.
    """
    if name not in PRECISIONS:
        raise SsiqaError(f"No precision {name!r}; there are: {', '.join(PRECISIONS)}.")
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    from ssiqa import _core  # here, because `ssiqa info` says why a core does not load

    return "bfloat16" if {"amx_bf16", "avx512_bf16"} & set(_core.cpu_features()) else "float32"


def why_no_cuda() -> str | None:
    """Why torch cannot use a GPU here; None if it can."""
    if torch.version.cuda is None:
        return "this build of torch has no CUDA"
    if not torch.cuda.is_available():
        return "torch finds no CUDA GPU or driver"
    return None
