"""What a table was made with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Provenance:
    """What all runs of a table have in common.

    Attributes:
        table: Of the paper.
        version: Of this package.
        protocol: ``"honest"`` or ``"paper"``.
        preset: The settings that the others are changes of.
        backbone: timm model name.
        device: ``"cpu"`` or ``"cuda"``.
        precision: ``"float32"`` or ``"bfloat16"``.
        changed: Settings of the table or of the caller that are not the preset's, by name; of a weight file what it
            holds.
    """

    table: str
    version: str
    protocol: str
    preset: str
    backbone: str
    device: str
    precision: str
    changed: dict[str, Any]

    def __str__(self) -> str:
        """Two lines of Markdown, a title and what it was made with."""
        changed = f"; changed: {', '.join(self.changed)} (results.json has the values)" if self.changed else ""
        return (
            f"# {self.table}, {self.protocol} protocol\n\n"
            f"ssiqa {self.version}, preset {self.preset}, {self.backbone}, {self.device}, {self.precision}{changed}."
        )
