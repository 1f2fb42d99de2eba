"""The one place that knows that TorchScript is on its way out."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from torch.jit import TracerWarning  # type: ignore[attr-defined]


@contextmanager
def torchscript() -> Iterator[None]:
    """Silences torch's notes that ``torch.jit`` is deprecated, and those on sizes that become part of a trace.

    The first is a decision (docs/design.md), the second is checked: an exported file is compared with the model on
    images of many sizes before it appears.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*torch\.jit", category=Warning)
        warnings.simplefilter("ignore", TracerWarning)
        yield
