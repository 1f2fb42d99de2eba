"""How much of a GPU's memory is left, and how many crops of photos a network takes at once in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ssiqa.errors import SsiqaError
from ssiqa.memory import available_memory

MOST = 256 * 3 * 224**2
"""Values of input from which on a GPU gets no faster: 256 crops of 224 by 224 pixels."""
SHARE = 0.5
"""Of what is free: a cautious one, because layouts and workspaces differ from batch to batch."""


def free_memory(device: torch.device) -> int:
    """Bytes that torch may still take there, of which its own cache has some."""
    if device.type != "cuda":
        return available_memory()
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


class Room:
    """How much input a network takes at once, by what the first piece of it took.

    Attributes:
        values: At most so many numbers at once, 0 until it is known; a single photo may have more.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.values = 0

    @contextmanager
    def taken_by(self, values: int) -> Iterator[None]:
        """Around work on so many numbers.

        Raises:
            SsiqaError: The GPU's memory does not suffice for it.
        """
        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_allocated(self._device)
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise SsiqaError(
                f"The GPU's memory does not hold what the network makes of {values / 3e6:.1f} megapixels at once; end "
                "what else uses it, make short_side smaller, or use device 'cpu'."
            ) from error
        if not self.values:
            each = max(1.0, (torch.cuda.max_memory_allocated(self._device) - before) / values)
            self.values = min(MOST, int(SHARE * free_memory(self._device) / each))
