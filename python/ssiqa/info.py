"""What is installed, what is built, what runs here."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from ssiqa import _core
from ssiqa.device import why_no_cuda
from ssiqa.version import __version__

_PACKAGES = ("torch", "timm", "opencv-python", "numpy", "scipy", "scikit-learn")


def facts() -> dict[str, str]:
    """Lines of ``ssiqa info``, name to value."""
    return {
        "ssiqa": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **{name: _installed(name) for name in _PACKAGES},
        "core": f"built with {_core.compiler()}; runs {_core.isa()} code on {_core.n_threads()} threads",
        "cpu": " ".join(_core.cpu_features()) or "no optional features found",
        "cuda": f"networks: {_network_device()}; native kernels: not part of this version, they run on the CPU",
    }


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed under this name"


def _network_device() -> str:
    if reason := why_no_cuda():
        return f"off ({reason})"
    import torch

    return torch.cuda.get_device_name()
