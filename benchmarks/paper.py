"""The paper's loop with the default preset's backbone: what a network that is trained in every phase is measured by."""

from __future__ import annotations

from typing import Any

from ssiqa.config import Schedule

PAPER: dict[str, Any] = {
    "depths": False,
    "teacher_share": 0.0,
    "tolerance": 2.0,
    "student": Schedule(epochs=4, lr=1e-5, decay_every=2),
    "blocks": 3,
    "grid": 3,
    "weak_crops": 4,
}
