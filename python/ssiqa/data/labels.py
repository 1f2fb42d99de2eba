"""The scale of the user's labels, and the way to the internal one and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssiqa.errors import DataError

LABEL_COLUMNS = ("mos", "dmos", "score")


@dataclass(frozen=True)
class LabelScale:
    """Maps labels to zero mean and unit variance, higher is better, and back.

    Attributes:
        mean: Mean of the labels, on the user's scale.
        std: Their standard deviation (of the population), positive.
        sign: +1, or -1 where a higher label means a worse image (`dmos`).
        minimum: The smallest label seen.
        maximum: The largest label seen.
        column: Name of the label column: `mos`, `dmos` or `score`.
    """

    mean: float
    std: float
    sign: int
    minimum: float
    maximum: float
    column: str

    @classmethod
    def fit(cls, values: ArrayLike, column: str) -> LabelScale:
        """Takes the scale from the labels of a folder.

        Raises:
            DataError: The labels are constant, so that there is nothing to learn.
        """
        labels = np.asarray(values, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            std = float(labels.std())
        if not (0 < std < np.inf and labels.min() < labels.max()):
            raise DataError(
                f"The labels in column {column!r} are constant or too large to compare: "
                "give labels that tell good images from bad ones."
            )
        sign = -1 if column == "dmos" else 1
        return cls(float(labels.mean()), std, sign, float(labels.min()), float(labels.max()), column)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> LabelScale:
        """Makes a scale out of what `to_dict` gave."""
        return cls(**fields)

    def to_dict(self) -> dict[str, Any]:
        """Gives the fields as plain values, ready for JSON."""
        return asdict(self)

    @property
    def span(self) -> float:
        """Width of the user's scale, from the smallest label to the largest."""
        return self.maximum - self.minimum

    def to_internal(self, values: ArrayLike) -> NDArray[np.float64]:
        """Converts labels of the user's scale to the internal one."""
        return self.sign * (np.asarray(values, dtype=np.float64) - self.mean) / self.std

    def to_user(self, internal: ArrayLike) -> NDArray[np.float64]:
        """Converts internal scores to the user's scale."""
        return self.sign * np.asarray(internal, dtype=np.float64) * self.std + self.mean
