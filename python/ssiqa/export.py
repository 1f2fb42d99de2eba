"""From a trained model to one TorchScript file that takes uint8 photos and gives scores on the labels' own scale."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ssiqa.data import LabelScale
from ssiqa.errors import ExportError
from ssiqa.files import to_json, written_beside
from ssiqa.lanes import Lanes
from ssiqa.models import QualityModel
from ssiqa.novelty import Novelty
from ssiqa.preprocess import Preprocess
from ssiqa.scorer import CARD, MARGIN
from ssiqa.seeding import generator
from ssiqa.torchscript import torchscript

_TOLERANCE = 1e-4
_CHECKED_IMAGES = 20


class ScoringModule(nn.Module):
    """The whole path from photos to scores: resize, grid of crops, normalise, model, mean over crops, label scale."""

    def __init__(self, model: QualityModel, preprocess: Preprocess, scale: LabelScale, novelty: Novelty) -> None:
        super().__init__()
        self.model = model
        self.preprocess = preprocess
        self.scale = scale
        self.novelty = novelty

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 RGB ``(n, H, W, 3)`` to float64 scores ``(n,)`` and float64 novelty ``(n,)``."""
        working = self.preprocess.normalize(self.preprocess.working_images(images))
        # Row by row of the grid: activations of all its crops would outgrow what the C library keeps, and be faulted in
        # anew in each layer.
        rows = [self.model(row) for row in self.preprocess.grid_rows(working)]
        features = torch.stack([row[0].unflatten(0, (self.preprocess.grid, -1)) for row in rows]).mean((0, 1))
        internal = torch.stack([row[1].view(self.preprocess.grid, -1) for row in rows]).double().mean((0, 1))
        scores = internal * (self.scale.sign * self.scale.std) + self.scale.mean
        return scores, self.novelty(features).double()


class _Scorer(nn.Module):
    """What is exported: written in TorchScript around what was traced."""

    def __init__(self, traced: torch.jit.ScriptModule, factor: float) -> None:
        super().__init__()
        self.traced = traced
        self.factor = factor

    def forward(self, images: Tensor) -> Tensor:
        """uint8 RGB ``(n, H, W, 3)`` to float64 scores ``(n,)``."""
        return self.traced(images)[0]  # type: ignore[no-any-return]

    @torch.jit.export
    def score_and_margin(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The same scores, and float64 margins ``(n,)``: an interval is score ± margin."""
        scores, novelty = self.traced(images)
        return scores, novelty * self.factor


def trace(module: ScoringModule) -> torch.jit.ScriptModule:
    """The module as TorchScript for images of any size and number, on the CPU."""
    example = torch.from_numpy(_random_images(0, count=2))
    with torch.no_grad(), torchscript():
        # Our own check below covers other sizes and batches, which tracing's check does not.
        return torch.jit.trace(module.cpu().eval(), example, check_trace=False)  # type: ignore[no-any-return, no-untyped-call]


def seal(traced: torch.jit.ScriptModule, factor: float = 1.0) -> torch.jit.ScriptModule:
    """What :func:`trace` gave as a scorer, whose margins are ``factor`` times the novelty of a photo."""
    with torchscript():
        scorer = torch.jit.script(_Scorer(traced, factor).eval())
        return torch.jit.freeze(scorer, preserved_attrs=[MARGIN])  # type: ignore[no-any-return]


def save(
    sealed: torch.jit.ScriptModule, eager: ScoringModule, path: Path, card: dict[str, Any], factor: float = 1.0
) -> None:
    """Write ``path``, once a fresh process that imports only torch has reproduced the eager model's scores from it.

    Args:
        sealed: What :func:`seal` made of ``eager``.
        eager: The module to agree with.
        path: The file to write.
        card: Model card as JSON values, stored inside the file as ``ssiqa.json``.
        factor: That of its margins.

    Raises:
        ExportError: A score or margin differs by more than 1e-4 of the label scale; no file is written.
    """
    batches = [torch.from_numpy(_random_images(number)) for number in range(1, _CHECKED_IMAGES + 1)]
    with Lanes() as lanes:
        expected = list(lanes.map(lambda images: _scores(eager, images, factor), batches))
    with written_beside(path) as beside:
        with torchscript():
            torch.jit.save(sealed, str(beside), _extra_files={CARD: to_json(card)})
        found = _scores_in_fresh_process(beside, batches)
        # NumPy's maximum keeps NaN, and the comparison is written so that NaN fails it. Margins may be infinite.
        whole, read = np.concatenate(expected, axis=1), np.concatenate(found, axis=1)
        worst = float(np.max(np.abs(np.subtract(whole, read, where=whole != read, out=np.zeros_like(whole)))))
        if not worst <= _TOLERANCE * eager.scale.span:
            raise ExportError(
                f"{path.name} was not written: its scores differ from the model's by {worst:.3g}, more than "
                f"{_TOLERANCE:g} of the label scale; this backbone does not trace to the same computation."
            )


@torch.inference_mode()
def _scores(module: ScoringModule, images: Tensor, factor: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """``(2, n)``: scores and margins."""
    scores, novelty = module(images)
    return np.stack([scores.numpy(), novelty.numpy() * factor])


def _random_images(number: int, count: int | None = None) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A batch of 1 or 2 images of an odd size between 33 and 699 pixels: noise of random smoothness."""
    rng = generator(0, "parity", number)
    height, width = (int(side) * 2 + 1 for side in rng.integers(16, 350, size=2))
    coarse = int(rng.integers(1, 12))
    shape = (count or 1 + number % 2, -(-height // coarse), -(-width // coarse), 3)
    blocks = rng.integers(0, 256, size=shape, dtype=np.uint8)
    return np.ascontiguousarray(blocks.repeat(coarse, axis=1).repeat(coarse, axis=2)[:, :height, :width])


def _scores_in_fresh_process(scorer: Path, batches: list[Tensor]) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    source = Path(__file__).with_name("parity.py").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images.pt"
        torch.save(batches, images)
        # "-c" in an empty folder: nothing of the caller's folder is imported, and the script imports only torch.
        finished = subprocess.run(
            [sys.executable, "-c", source, str(scorer.resolve()), str(images)],
            cwd=folder,
            capture_output=True,
            text=True,
        )
    if finished.returncode != 0:
        reason = (finished.stderr.strip().splitlines() or [f"exit code {finished.returncode}"])[-1]
        raise ExportError(f"The exported scorer was not written: it cannot be run in a fresh process ({reason}).")
    return [np.asarray(scores) for scores in json.loads(finished.stdout)]
