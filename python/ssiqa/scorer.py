"""Scoring with an exported file. Needs torch and OpenCV; neither timm nor anything of training."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, overload

import numpy as np
import torch
from numpy.typing import NDArray

from ssiqa.data import LabelScale, quiet_opencv, read_image
from ssiqa.device import pick_device
from ssiqa.errors import DataError, SsiqaError
from ssiqa.lanes import Lanes
from ssiqa.torchscript import torchscript

CARD = "ssiqa.json"
SCHEMA = 2
STUDENT = "student.pt"
"""The adapted scorer in the folder of a run."""

MARGIN = "score_and_margin"
"""The exported method that gives scores and half the widths of their intervals."""

Image: TypeAlias = "str | PathLike[str] | NDArray[np.uint8]"


class Judgement(NamedTuple):
    """What a scorer says of one image.

    Attributes:
        score: On the labels' scale.
        margin: Half the width of its interval; not-a-number where that was not asked for.
    """

    score: float
    margin: float


class Scorer:
    """Image quality on the scale of the labels it was trained on.

    Attributes:
        card: Model card: package version, backbone, label scale, preprocessing, seed, fingerprints, metrics; whether
            its run ``adapted`` it, which is false where the guard undid all, and the ``coverage`` of the report.
        scale: The labels' scale: ``minimum``, ``maximum``, and ``sign`` -1 where a higher score means a worse image.

    Threads may share a scorer; it cannot be pickled, so that each process loads its own.
    """

    def __init__(self, module: torch.jit.ScriptModule, card: dict[str, Any], device: torch.device) -> None:
        self._module = module
        self._device = device
        self.card = card
        self.scale = LabelScale.from_dict(card["scale"])

    @overload
    def score(self, images: Image, *, return_interval: Literal[False] = False) -> float: ...  # type: ignore[overload-overlap]
    @overload
    def score(self, images: Iterable[Image], *, return_interval: Literal[False] = False) -> NDArray[np.float64]: ...
    @overload
    def score(self, images: Image, *, return_interval: Literal[True]) -> tuple[float, NDArray[np.float64]]: ...  # type: ignore[overload-overlap]
    @overload
    def score(
        self, images: Iterable[Image], *, return_interval: Literal[True]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...

    def score(self, images: Image | Iterable[Image], *, return_interval: bool = False) -> Any:
        """Score one image, or many.

        An image's score depends on the image alone: each is a forward pass of its own. On a CPU
        each is computed by one core, and many images by all cores side by side.

        Args:
            images: A path or an RGB uint8 array ``(height, width, 3)``, or an iterable of such.
            return_interval: Give the conformal interval of each score, too: for photos like the labelled ones it holds
                the opinion with a probability of ``card["interval"]["level"]``, for others it is wider but promises
                nothing. It is infinite where too few photos were held out to calibrate it, and holds less where they
                were of few groups (``card["interval"]["groups"]``).

        Returns:
            A float for one image, a float64 array ``(n,)`` for many; with ``return_interval`` a pair of that and a
            float64 array ``(2,)`` or ``(n, 2)`` of low and high ends.

        Raises:
            DataError: A file cannot be read (the message names it), an array has another shape or type, or an image is
                neither.

        Example:
            >>> scorer = ssiqa.load("student.pt")  # doctest: +SKIP
            >>> scorer.score(["a.jpg", "b.jpg"])  # doctest: +SKIP
            array([71.3, 48.9])
            >>> scorer.score("a.jpg", return_interval=True)  # doctest: +SKIP
            (71.3, array([60.2, 82.4]))
        """
        # What is neither an image nor an iterable of images goes the way of one, too, and is refused there.
        if isinstance(images, str | bytes | PathLike | np.ndarray) or not isinstance(images, Iterable):
            one = self.score([images], return_interval=True) if return_interval else self.score([images])
            return (float(one[0][0]), one[1][0]) if return_interval else float(one[0])
        found = []
        with closing(self.judge_each(images, return_interval)) as each:
            for judgement in each:
                if isinstance(judgement, DataError):
                    raise judgement
                found.append(judgement)
        scores = np.array([judgement.score for judgement in found], dtype=np.float64)
        if not return_interval:
            return scores
        margins = np.array([judgement.margin for judgement in found], dtype=np.float64)
        return scores, np.stack([scores - margins, scores + margins], axis=1)

    def judge_each(
        self, images: Iterable[Image], with_margin: bool = False
    ) -> Generator[Judgement | DataError, None, None]:
        """Judgements one by one, in order; the error in place of one where there cannot be one.

        On a CPU as many images are decoded and scored side by side as there are cores, on a GPU they are decoded ahead.
        """
        judge = self._judge_with_margin if with_margin else self._judge
        with quiet_opencv(), Lanes() as lanes:
            if self._device.type == "cpu":
                yield from lanes.map(lambda image: judge(_pixels_or_error(image)), images)
            else:
                yield from map(judge, lanes.map(_pixels_or_error, images))

    def _judge(self, pixels: NDArray[np.uint8] | DataError) -> Judgement | DataError:
        if isinstance(pixels, DataError):
            return pixels
        with torch.inference_mode():
            return Judgement(float(self._module(self._batch(pixels))[0]), np.nan)

    def _judge_with_margin(self, pixels: NDArray[np.uint8] | DataError) -> Judgement | DataError:
        if isinstance(pixels, DataError):
            return pixels
        with torch.inference_mode():
            scores, margins = getattr(self._module, MARGIN)(self._batch(pixels))
            return Judgement(float(scores[0]), float(margins[0]))

    def _batch(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        return torch.from_numpy(pixels)[None].to(self._device)


def load(path: str | PathLike[str], device: str = "cpu") -> Scorer:
    """Load a scorer that :func:`ssiqa.adapt` exported.

    A TorchScript file is a program: load only files that you trust.

    Args:
        path: A ``student.pt`` or ``teacher.pt``, or the folder of a finished run, for its student.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Raises:
        SsiqaError: No such file, not a TorchScript file, not one of ssiqa's, or of a newer schema.
        OSError: The file cannot be read.
    """
    path, where = Path(path), pick_device(device)
    if path.is_dir():
        path = path / STUDENT
        if not path.is_file():
            raise SsiqaError(
                f"{path.parent} holds no {STUDENT}; give the folder of a finished run, or a scorer's file."
            )
    if not path.is_file():
        raise SsiqaError(f"No scorer at {path}; give the student.pt that adapt wrote.")
    extra: dict[str, Any] = {CARD: ""}
    try:
        with torchscript(), path.open("rb") as file:  # torch takes no path that is not Unicode
            module = torch.jit.load(file, map_location=where, _extra_files=extra)  # type: ignore[no-untyped-call]
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise SsiqaError(
            f"{path} is not a TorchScript file that loads here ({reason}); give the student.pt that adapt wrote."
        ) from error
    return Scorer(module, _read_card(extra[CARD], path), where)


def _read_card(text: str, path: Path) -> dict[str, Any]:
    try:
        card: dict[str, Any] = json.loads(text)
        schema = int(card["schema"])
    except (ValueError, KeyError, TypeError) as error:
        raise SsiqaError(f"{path} was not exported by ssiqa: it holds no model card.") from error
    if schema != SCHEMA:
        raise SsiqaError(f"{path} has schema {schema}, this ssiqa reads {SCHEMA}; use the ssiqa that wrote it.")
    return card


def _pixels_or_error(image: object) -> NDArray[np.uint8] | DataError:
    if isinstance(image, str | PathLike):
        try:
            return read_image(image)
        except DataError as error:
            return error
    if not isinstance(image, np.ndarray):
        return DataError(
            f"An image must be a path or an RGB uint8 array, not {type(image).__name__}; "
            "of a PIL image give np.asarray(image.convert('RGB'))."
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        return DataError(
            f"An image array must be uint8 RGB of shape (height, width, 3), not {image.dtype} {image.shape}."
        )
    return np.require(image, requirements=["C", "W"])  # torch takes no read-only memory
