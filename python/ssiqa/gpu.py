"""The kernels on a GPU, with the interface of those of the core.

Work is queued on the stream that is current in the array's library, in memory of that library, and a call returns
before it is done. Nothing of CUDA is loaded before an array in a GPU's memory comes, or a run asks whether it can be
made there.
"""

from __future__ import annotations

import functools
import importlib
import math
import re
import sys
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any

from ssiqa import arrays

_CUDA, _MANAGED = 2, 13  # DLPack's numbers of kinds of memory
_DEFAULT_STREAM = 1


def is_on_gpu(array: Any) -> bool:
    return array.__dlpack_device__()[0] in (_CUDA, _MANAGED)


def module() -> ModuleType:
    """The native module.

    Raises:
        ImportError: It was not built, or does not load.
    """
    return importlib.import_module("ssiqa._cuda")


@functools.cache  # counting devices takes longer than a small kernel
def why_no_kernels(device: int | None = None) -> str | None:
    """Why the kernels cannot run on a GPU here, or on any of them; None if they can."""
    try:
        native = module()
        found = native.devices()
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        return "this build has none, because no CUDA compiler was found" if missing else f"they do not load: {error}"
    except RuntimeError as error:
        return str(error)
    if not found:
        return "there is no GPU"
    asked = found if device is None else found[device : device + 1]
    if not any(runs_on(native.architectures(), capability) for _, capability in asked):
        return f"this build is for architectures {native.architectures()}, not for {names(asked)}"
    return None


def names(devices: list[tuple[str, tuple[int, int]]]) -> str:
    """GPUs by name and compute capability."""
    return ", ".join(f"{name} ({major}.{minor})" for name, (major, minor) in devices)


def runs_on(architectures: str, capability: tuple[int, int]) -> bool:
    """Whether a GPU of a compute capability has code in a build for these architectures, in CMake's words.

    >>> runs_on("80-real 90a-real 120", (8, 6)), runs_on("80-real 90a-real 120", (9, 1)), runs_on("80", (12, 0))
    (True, False, True)
    """
    for architecture in architectures.split():
        words = re.fullmatch(r"(\d+)(\d)([af]?)(-real|-virtual)?", architecture)
        if words is None:
            return True  # such as native: that is for the GPUs here
        major, minor, only, kind = words.groups()
        built = int(major), int(minor)
        if only == "a":  # for this one and no other
            fits = built == capability
        elif only == "f" or kind == "-real":
            fits = built[0] == capability[0] and built <= capability
        else:
            fits = built <= capability
        if fits:
            return True
    return False


class GpuKernels:
    """The functions of the core that GPUs have as well, for arrays that lie where `like` does.

    Raises:
        ValueError: There are no kernels for GPUs here, or an array is not in this one's memory.
    """

    def __init__(self, like: Any) -> None:
        self._like, self._device = like, int(like.__dlpack_device__()[1])
        if reason := why_no_kernels(self._device):
            raise ValueError(
                f"An array is in a GPU's memory, and ssiqa has no kernels for it: {reason}. Use CPU arrays."
            )
        _library(like)

    def squared_distances(self, x: Any, y: Any, out: Any) -> None:
        self._queue("squared_distances", x, x if y is None else y, out)

    def rbf_kernel(self, x: Any, y: Any, out: Any, gamma: float) -> None:
        _require_usable("gamma", [gamma])
        self._queue("rbf_kernel", x, x if y is None else y, out, gamma)

    def rbf_matvec(
        self, x: Any, z: Any, coef: Any, out: Any, gammas: list[float], _accumulate_double: bool, medium: bool = False
    ) -> None:
        """Sums are always kept in double."""
        _require_usable("gamma", gammas)
        self._queue("rbf_matvec", x, z, coef, out, gammas, medium)

    def smallest_difference(self, pred: Any, target: Any, out: Any) -> None:
        self._queue("smallest_difference", pred, target, out)

    def krr_fit(self, x: Any, y: Any, out: Any, gammas: list[float], alphas: list[float]) -> None:
        """Waits for the GPU, as does what follows."""
        _require_usable("gamma", gammas)
        _require_usable("alpha", alphas)
        from ssiqa import gpu_krr  # here, because torch takes long to import and may not be needed

        rows, targets = _tensors(x, y)
        _write(out, gpu_krr.fit_batches(GpuKernels(rows), rows, targets, gammas, alphas))

    def krr_factor(self, x: Any, gamma: float, alpha: float) -> GpuFactor:
        _require_usable("gamma", [gamma])
        _require_usable("alpha", [alpha])
        return GpuFactor(x, gamma, alpha)

    def _queue(self, name: str, *given: Any) -> None:
        """On the stream that is current now: a factor may be asked from another one than it was made on."""
        native = module()
        with _on_device_of(self._like):
            there = native.Gpu(self._device, _stream(self._like))
            getattr(native, name)(*given, there, self._allocate)

    def _allocate(self, size: int) -> Any:
        return arrays.empty(self._like, (size,), "uint8")


class GpuFactor:
    """A factor with the interface of the core's."""

    def __init__(self, x: Any, gamma: float, alpha: float) -> None:
        from ssiqa import gpu_krr

        (rows,) = _tensors(x)
        self._posterior = gpu_krr.Posterior(GpuKernels(rows), rows, gamma, alpha)

    def solve(self, y: Any, out: Any) -> None:
        (targets,) = _tensors(y)
        _write(out, self._posterior.solve(targets.reshape(len(targets), -1)).reshape(targets.shape))

    def variance(self, z: Any, out: Any) -> None:
        _write(out, self._posterior.variance(*_tensors(z)))

    def condition(self) -> float:
        return self._posterior.condition()


def _tensors(*given: Any) -> list[Any]:
    from torch.utils.dlpack import from_dlpack

    with _on_device_of(given[0]):
        return [from_dlpack(array) for array in given]


def _on_device_of(array: Any) -> AbstractContextManager[Any]:
    """Where the array's library will hand out its memory: torch does so on the current device alone."""
    if not is_on_gpu(array):
        return nullcontext()
    library = _library(array)
    of = library.cuda.device if library.__name__ == "torch" else library.cuda.Device
    return of(int(array.__dlpack_device__()[1]))  # type: ignore[no-any-return]


def _write(out: Any, result: Any) -> None:
    """The result, where the array's library will see it on whatever stream it uses."""
    import torch

    _tensors(out)[0].copy_(result)
    torch.cuda.current_stream(result.device).synchronize()


def _stream(like: Any) -> int:
    """The stream that is current in the array's library, on the current device, as DLPack numbers it."""
    library = _library(like)
    if library.__name__ == "torch":
        return library.cuda.current_stream().cuda_stream or _DEFAULT_STREAM
    return library.cuda.get_current_stream().ptr or _DEFAULT_STREAM


def _library(array: Any) -> Any:
    """torch or CuPy, whichever the array is of; it is imported by now.

    Raises:
        ValueError: It is of neither.
    """
    for name, kind in (("torch", "Tensor"), ("cupy", "ndarray")):
        library = sys.modules.get(name)
        if library is not None and isinstance(array, getattr(library, kind)):
            return library
    raise ValueError(
        "An array is in a GPU's memory, and of a library other than torch and CuPy, whose streams are known here. Hand "
        "it over as torch.from_dlpack(array)."
    )


def _require_usable(name: str, numbers: list[float]) -> None:
    if not all(math.isfinite(number) and number >= 0 for number in numbers):
        raise ValueError(f"{name} must be a finite number that is not negative.")
