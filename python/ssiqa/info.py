"""What is installed, what is built, what runs here."""

from __future__ import annotations

import platform
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from ssiqa import gpu
from ssiqa.device import why_no_cuda
from ssiqa.version import __version__

_PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "opencv-python",
    "numpy",
    "scipy",
    "scikit-learn",
    "safetensors",
)
_MODULES = {"opencv-python": "cv2"}
"""Modules that more than one distribution carries."""


def facts() -> dict[str, str]:
    """Lines of ``ssiqa info``, name to value."""
    return {
        "ssiqa": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **{name: _installed(name) for name in _PACKAGES},
        **_core_facts(),
        "cuda": f"networks: {_network_device()}; kernels: {_gpu_kernels()}",
    }


def _core_facts() -> dict[str, str]:
    try:
        from ssiqa import _core  # here, so that a core that does not load is a line and not a traceback
    except ImportError as error:
        return {"core": f"does not load: {' '.join(str(error).split())}", "cpu": "not known without the core"}
    isa = f"{_core.isa()} code (built and possible here: {' '.join(_core.available_isas())})"
    return {
        "core": f"built with {_core.compiler()}; runs {isa} on {_core.n_threads()} threads",
        "cpu": " ".join(_core.cpu_features()) or "no optional features found",
    }


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        pass
    try:
        return f"{import_module(_MODULES[name]).__version__} (another distribution)"
    except (KeyError, ImportError):
        return "not installed under this name"


def _gpu_kernels() -> str:
    if reason := gpu.why_no_kernels():
        return f"on the CPU only, {reason}"
    native = gpu.module()
    return f"on {gpu.names(native.devices())}, built with {native.compiler()} for {native.architectures()}"


def _network_device() -> str:
    if reason := why_no_cuda():
        return f"off ({reason})"
    import torch

    name = torch.cuda.get_device_name()
    return f"{name}, finished scorers alone" if gpu.why_no_kernels(torch.cuda.current_device()) else name
