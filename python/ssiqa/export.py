"""From a trained model to one TorchScript file that takes uint8 photos and gives scores on the labels' own scale."""

from __future__ import annotations

import copy
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssiqa.data import LabelScale
from ssiqa.errors import ExportError
from ssiqa.files import read_json, to_json, written_beside
from ssiqa.lanes import Lanes
from ssiqa.models import QualityModel
from ssiqa.novelty import Novelty
from ssiqa.preprocess import Preprocess
from ssiqa.scorer import CARD, MARGIN
from ssiqa.seeding import generator
from ssiqa.torchscript import torchscript

_TOLERANCE = 1e-4
_CHECKED_BATCHES = 20


class ScoringModule(nn.Module):
    """The whole path from photos to scores: resize, normalise, crops or the whole, features, score, label scale.

    It keeps the model's weights of this moment.
    """

    def __init__(self, model: QualityModel, preprocess: Preprocess, scale: LabelScale, novelty: Novelty) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        self.preprocess = preprocess
        self.scale = scale
        self.novelty = novelty

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 RGB ``(n, H, W, 3)`` to float64 scores ``(n,)`` and float64 novelty ``(n,)``."""
        working = self.preprocess.normalize(self.preprocess.working_images(images))
        # A grid goes row by row: activations of all its crops would outgrow what the C library keeps, and be faulted in
        # anew in each layer.
        read = torch.cat([self.model.reader(row) for row in self.preprocess.grid_rows(working)])
        features, own = self.model.see(read.view(-1, images.shape[0], read.shape[1]).transpose(0, 1))
        scores = self.model.score(features, own).double() * (self.scale.sign * self.scale.std) + self.scale.mean
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


@dataclass(frozen=True)
class Export:
    """A scorer on its way into a file.

    Attributes:
        sealed: What :func:`seal` gave.
        path: The file to write.
        card: Model card as JSON values, stored inside the file as ``ssiqa.json``.
        expected: ``(2, n)`` scores and margins that it must give for the images of the parity check.
        span: That of its label scale.
    """

    sealed: torch.jit.ScriptModule
    path: Path
    card: dict[str, Any]
    expected: NDArray[np.float64]
    span: float


def prepare(
    sealed: torch.jit.ScriptModule, eager: ScoringModule, path: Path, card: dict[str, Any], factor: float = 1.0
) -> Export:
    """What :func:`seal` made of ``eager``, with what ``eager`` says now; ``factor`` is that of its margins."""
    with Lanes() as lanes:
        expected = list(lanes.map(lambda images: _scores(eager, images, factor), _checked_batches()))
    return Export(sealed, path, card, np.concatenate(expected, axis=1), eager.scale.span)


def publish(exports: Sequence[Export]) -> None:
    """Write the files, once a fresh process that imports only torch has reproduced the eager models' scores from them.

    Raises:
        ExportError: A score or margin differs by more than 1e-4 of the label scale; no file is written.
    """
    with ExitStack() as files:
        beside = [files.enter_context(written_beside(export.path)) for export in exports]
        for export, path in zip(exports, beside, strict=True):
            # Given a path, torch would put its name, which has the process's number, into the file: equal runs leave
            # equal files.
            with torchscript(), path.open("wb") as file:
                torch.jit.save(export.sealed, file, _extra_files={CARD: to_json(export.card)})
        for export, found in zip(exports, _scores_in_fresh_process(beside), strict=True):
            # NumPy's maximum keeps NaN, and the comparison is written so that NaN fails it. Margins may be infinite.
            same = found == export.expected
            worst = float(np.max(np.abs(np.subtract(export.expected, found, where=~same, out=np.zeros_like(found)))))
            if not worst <= _TOLERANCE * export.span:
                raise ExportError(
                    f"{export.path.name} was not written: its scores differ from the model's by {worst:.3g}, more than "
                    f"{_TOLERANCE:g} of the label scale; this backbone does not trace to the same computation."
                )


@torch.inference_mode()
def _scores(module: ScoringModule, images: Tensor, factor: float) -> NDArray[np.float64]:
    """``(2, n)``: scores and margins."""
    scores, novelty = module(images)
    return np.stack([scores.numpy(), novelty.numpy() * factor])


def _random_images(number: int, count: int | None = None) -> NDArray[np.uint8]:
    """A batch of 1 or 2 images of an odd size between 33 and 699 pixels: noise of random smoothness."""
    rng = generator(0, "parity", number)
    height, width = (int(side) * 2 + 1 for side in rng.integers(16, 350, size=2))
    coarse = int(rng.integers(1, 12))
    shape = (count or 1 + number % 2, -(-height // coarse), -(-width // coarse), 3)
    blocks = rng.integers(0, 256, size=shape, dtype=np.uint8)
    return np.ascontiguousarray(blocks.repeat(coarse, axis=1).repeat(coarse, axis=2)[:, :height, :width])


def _checked_batches() -> list[Tensor]:
    return [torch.from_numpy(_random_images(number)) for number in range(1, _CHECKED_BATCHES + 1)]


def _scores_in_fresh_process(scorers: Sequence[Path]) -> list[NDArray[np.float64]]:
    """Of each file the ``(2, n)`` scores and margins of the images of the parity check."""
    source = Path(__file__).with_name("parity.py").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        images, found = Path(folder) / "images.pt", Path(folder) / "scores.json"
        torch.save(_checked_batches(), images)
        # "-c" in an empty folder: nothing of the caller's folder is imported, and the script imports only torch.
        finished = subprocess.run(
            [sys.executable, "-c", source, str(images), str(found), *(str(scorer.resolve()) for scorer in scorers)],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        if finished.returncode != 0:
            reason = (finished.stderr.strip().splitlines() or [f"exit code {finished.returncode}"])[-1]
            raise ExportError(f"The exported scorer was not written: it cannot be run in a fresh process ({reason}).")
        return [np.asarray(scores) for scores in read_json(found)]
