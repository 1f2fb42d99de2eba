"""The kernels on a GPU, with the interface of those of the core.

Work is queued on the stream that is current in the array's library, in memory of that library, and a call returns
before it is done. Nothing of CUDA is loaded before an array in a GPU's memory comes.
"""

from __future__ import annotations

import functools
import importlib
import math
import sys
from types import ModuleType
from typing import Any

from ssiqa import arrays

_CUDA, _MANAGED = 2, 13  # DLPack's numbers of kinds of memory
_DEFAULT_STREAM = 1


def is_on_gpu(array: Any) -> bool:
    return array.__dlpack_device__()[0] in (_CUDA, _MANAGED)


@functools.cache
def module() -> ModuleType:
    """The native module.

    Raises:
        ImportError: It was not built, or does not load.
    """
    return importlib.import_module("ssiqa._cuda")


def why_no_kernels() -> str | None:
    """Why the kernels cannot run on a GPU here; None if they can."""
    try:
        found = module().devices()
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        return "this build has none, because no CUDA compiler was found" if missing else f"they do not load: {error}"
    except RuntimeError as error:
        return str(error)
    return None if found else "there is no GPU"


class GpuKernels:
    """The functions of the core that GPUs have as well, for arrays that lie where `like` does.

    Raises:
        ValueError: There are no kernels for GPUs here, or an array is not in this one's memory.
    """

    def __init__(self, like: Any) -> None:
        if reason := why_no_kernels():
            raise ValueError(
                f"An array is in a GPU's memory, and ssiqa has no kernels for it: {reason}. Use CPU arrays."
            )
        device = int(like.__dlpack_device__()[1])
        self._like = like
        self._native = module()
        self._gpu = self._native.Gpu(device, _stream(like, device))

    def squared_distances(self, x: Any, y: Any, out: Any) -> None:
        self._native.squared_distances(x, x if y is None else y, out, self._gpu, self._allocate)

    def rbf_kernel(self, x: Any, y: Any, out: Any, gamma: float) -> None:
        _require_usable([gamma])
        self._native.rbf_kernel(x, x if y is None else y, out, gamma, self._gpu, self._allocate)

    def rbf_matvec(self, x: Any, z: Any, coef: Any, out: Any, gammas: list[float], medium: bool) -> None:
        _require_usable(gammas)
        self._native.rbf_matvec(x, z, coef, out, gammas, medium, self._gpu, self._allocate)

    def smallest_difference(self, pred: Any, target: Any, out: Any) -> None:
        self._native.smallest_difference(pred, target, out, self._gpu, self._allocate)

    def _allocate(self, size: int) -> Any:
        return arrays.empty(self._like, (size,), "uint8")


def _stream(like: Any, device: int) -> int:
    """The current stream of the array's library, as DLPack numbers it; the default one where it has no such notion."""
    library = type(like).__module__.partition(".")[0]
    if library == "torch":
        return sys.modules["torch"].cuda.current_stream(device).cuda_stream or _DEFAULT_STREAM
    if library == "cupy":
        return sys.modules["cupy"].cuda.get_current_stream(device).ptr or _DEFAULT_STREAM
    return _DEFAULT_STREAM


def _require_usable(gammas: list[float]) -> None:
    if not all(math.isfinite(gamma) and gamma >= 0 for gamma in gammas):
        raise ValueError("gamma must be a finite number that is not negative.")
