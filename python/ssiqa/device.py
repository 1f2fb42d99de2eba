"""Where the network runs."""

from __future__ import annotations

import torch

from ssiqa.errors import SsiqaError

DEVICES = ("auto", "cpu", "cuda")


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


def why_no_cuda() -> str | None:
    """Why torch cannot use a GPU here; None if it can."""
    if torch.version.cuda is None:
        return "this build of torch has no CUDA"
    if not torch.cuda.is_available():
        return "torch finds no CUDA GPU or driver"
    return None
