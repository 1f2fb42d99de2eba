"""Image quality scorers that adapt to photos nobody has rated.

    adaptation = ssiqa.adapt("labeled/", "unlabeled/")
    adaptation.student.score("photo.jpg")

Names are imported when first used: scoring needs torch and OpenCV, but neither timm nor scikit-learn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssiqa import kernels as kernels
    from ssiqa.adaptation import adapt as adapt
    from ssiqa.comparison import Comparison as Comparison
    from ssiqa.comparison import compare as compare
    from ssiqa.config import Config as Config
    from ssiqa.config import Schedule as Schedule
    from ssiqa.errors import IllConditionedError as IllConditionedError
    from ssiqa.errors import SsiqaError as SsiqaError
    from ssiqa.krr import KernelRidge as KernelRidge
    from ssiqa.loo import leave_one_out as leave_one_out
    from ssiqa.metrics import Evaluation as Evaluation
    from ssiqa.metrics import evaluate as evaluate
    from ssiqa.profile import Profile as Profile
    from ssiqa.results import Adaptation as Adaptation
    from ssiqa.scorer import Scorer as Scorer
    from ssiqa.scorer import load as load
    from ssiqa.updating import update as update
    from ssiqa.version import __version__ as __version__

_HOMES = {
    "Adaptation": "ssiqa.results",
    "Comparison": "ssiqa.comparison",
    "Config": "ssiqa.config",
    "Evaluation": "ssiqa.metrics",
    "IllConditionedError": "ssiqa.errors",
    "KernelRidge": "ssiqa.krr",
    "Profile": "ssiqa.profile",
    "Schedule": "ssiqa.config",
    "Scorer": "ssiqa.scorer",
    "SsiqaError": "ssiqa.errors",
    "__version__": "ssiqa.version",
    "adapt": "ssiqa.adaptation",
    "compare": "ssiqa.comparison",
    "evaluate": "ssiqa.metrics",
    "leave_one_out": "ssiqa.loo",
    "load": "ssiqa.scorer",
    "update": "ssiqa.updating",
}

__all__ = sorted([*_HOMES, "kernels"])


def __getattr__(name: str) -> Any:
    if name == "kernels":
        return import_module("ssiqa.kernels")
    if name not in _HOMES:
        raise AttributeError(f"module 'ssiqa' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
