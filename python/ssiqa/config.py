"""The settings of a run, and the two presets."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from math import inf, isfinite
from pathlib import Path
from typing import Any, Literal

from ssiqa.errors import SsiqaError
from ssiqa.files import sha256, to_json

PRESETS = ("default", "paper")

SCHEMA = 6
"""Of what a run keeps and how it is made; a run is only continued by the same."""

SEEDS = 1 << 32
"""How many there are, from 0 on."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast one training runs.

    Attributes:
        epochs: Passes over the photos.
        lr: AdamW's learning rate after warm-up.
        decay_every: Epochs, counted from the end of warm-up, after which the rate falls to a tenth, again and again.
        warmup_epochs: Leading epochs over which the rate rises linearly, step by step.
        batch_size: Crops in an optimiser step.
        crops: Fresh random crops that a photo gives in a pass.
        weight_decay: Decoupled, as AdamW has it (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR
            2019); biases, norms and what the backbone exempts do not decay.
        clip: Norm beyond which the gradients of a step are scaled down; 0: they are not.

    Raises:
        SsiqaError: A value is out of range.
    """

    epochs: int
    lr: float
    decay_every: int
    warmup_epochs: int = 0
    batch_size: int = 32
    crops: int = 1
    weight_decay: float = 0.0
    clip: float = 0.0

    def __post_init__(self) -> None:
        for name, low in (("epochs", 1), ("decay_every", 1), ("warmup_epochs", 0), ("batch_size", 1), ("crops", 1)):
            _require_whole(name, getattr(self, name), low)
        for name in ("weight_decay", "clip"):
            _require_number(name, getattr(self, name), 0, inf, or_0=True)
        _require_number("lr", self.lr, 0, inf)

    def rate(self, epoch: int, progress: float) -> float:
        """Learning rate at ``progress`` (0..1) of ``epoch`` (from 0)."""
        if epoch < self.warmup_epochs:
            return self.lr * (epoch + progress) / self.warmup_epochs
        return self.lr * 0.1 ** ((epoch - self.warmup_epochs) // self.decay_every)


@dataclass(frozen=True)
class Config:
    """Everything that decides the outcome of a run, besides the photos.

    Attributes:
        backbone: timm model name.
        weights: Local weight file for the backbone, or None for embedded or downloaded ones.
        depths: Features are mean and deviation of the activations of several layers, and a transformer's class token
            there, instead of the pooled output.
        queries: Queries of a decoder that reads a transformer's tokens, instead of its pooled output; 0 for none.
        feature_dim: Size of a projection of what is read before the head; 0 for none.
        frozen: Share (0..1) of the backbone's first layers that keep their pretrained weights.
        probe_head: Start the head from closed-form ridge regression on the pretrained features instead of from zero,
            so that the first gradient steps do not distort the features to fit an unfitted head.
        teacher: Schedule of phase 0.
        student: Schedule of the network's training in phases 1 to N. None: it stays as phase 0 left it, and the student
            is a kernel ridge regression on its features, fitted to A's truth and all pseudo-labels.
        short_side: Working resolution: pixels of a photo's shorter side; at least those of the network's input.
        grid: A photo is scored by ``grid * grid`` crops, evenly spread; 0: whole, or where the network takes one size
            alone by as few crops as cover it.
        weak_crops: Random crops per photo that are pooled into its features; 0: those by which it is scored.
        crop_rows: The regression is fitted to each random crop by itself, with its photo's label, and a pseudo-label is
            the mean over a photo's crops; of very many crops some are learnt (`distill.MANY_CROPS`).
        holdout: Share (0..1, exclusive) of A that is never trained on; mean and deviation, by which labels are
            standardised, are of all of A.
        blocks: N, the number of blocks that B is cut into.
        replay_every: K1 and K2 of SDK-Sample, a pair, or one number for both: one exemplar for this many photos of A,
            and of earlier blocks of B; 0 for none. With ``student=None`` nothing is replayed, and an update measures
            its forgetting by one photo for K2 of each block, at least 50; 0 for none.
        krr: Pseudo-labels by kernel ridge regression; otherwise the teacher's own predictions, and ``teacher_share``,
            ``gamma`` and ``alpha`` are of no use.
        teacher_share: Share (0..1, not 1) of the network's own prediction in a pseudo-label by regression; with
            ``student=None`` that in all scores, on top of which the regression learns what it leaves.
        gamma: RBF width, or "auto" for leave-one-out.
        alpha: Ridge penalty (the paper's lambda), or "auto" for leave-one-out; with ``student=None`` the student's is
            the mean of this for A and, where it is more, the posterior variance by A for each photo of B.
        tolerance: How far (in SRCC, 0..2) a phase may leave A's hold-out below phase 0; one that goes further is damped
            or undone. 2 lets every phase stand that leaves scores which can be ranked.
        seed: Root of every random choice, 0 to 2**32 - 1.

    Raises:
        SsiqaError: A value is out of range.
    """

    backbone: str
    depths: bool
    frozen: float
    probe_head: bool
    teacher: Schedule
    student: Schedule | None
    short_side: int
    grid: int
    weak_crops: int
    weights: str | None = None
    queries: int = 0
    crop_rows: bool = False
    feature_dim: int = 0
    holdout: float = 0.2
    blocks: int = 3
    replay_every: int | tuple[int, int] = 100
    krr: bool = True
    teacher_share: float = 0.0
    gamma: float | Literal["auto"] = "auto"
    alpha: float | Literal["auto"] = "auto"
    tolerance: float = 0.002
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("short_side", "blocks"):
            _require_whole(name, getattr(self, name), 1)
        for name in ("grid", "weak_crops", "queries", "feature_dim", "seed"):
            _require_whole(name, getattr(self, name), 0)
        if self.seed >= SEEDS:
            raise SsiqaError(f"seed is {self.seed}; it must be below {SEEDS}, as NumPy and scikit-learn want it.")
        if isinstance(self.replay_every, list):  # a pair, as JSON keeps it
            object.__setattr__(self, "replay_every", tuple(self.replay_every))
        if len(self.replay_pair) != 2 or not all(_is_whole(every, 0) for every in self.replay_pair):
            raise SsiqaError(
                f"replay_every is {self.replay_every!r}; it must be a whole number, 0 or more, or a pair of them."
            )
        for name in ("krr", "depths", "probe_head", "crop_rows"):
            if not isinstance(getattr(self, name), bool):
                raise SsiqaError(f"{name} is {getattr(self, name)!r}; it must be True or False.")
        if not isinstance(self.teacher, Schedule):
            raise SsiqaError(f"teacher is {self.teacher!r}; it must be an ssiqa.Schedule.")
        if not isinstance(self.student, Schedule | None):
            raise SsiqaError(f"student is {self.student!r}; it must be an ssiqa.Schedule or None.")
        if self.student is None and not self.krr:
            raise SsiqaError(
                "A student without a schedule is a regression; set krr=True, or student=ssiqa.Schedule(...)."
            )
        for name in ("gamma", "alpha"):
            if getattr(self, name) != "auto":
                _require_number(name, getattr(self, name), 0, inf, otherwise=" or 'auto'")
        _require_number("holdout", self.holdout, 0, 1)
        if self.depths and self.feature_dim:
            raise SsiqaError("A projection is of the pooled output; set feature_dim=0, or depths=False.")
        if self.depths and self.queries:
            raise SsiqaError("A decoder reads the last layer alone; set queries=0, or depths=False.")
        if self.crop_rows and (self.student is None or not self.weak_crops):
            raise SsiqaError(
                "A regression on single crops takes random ones, and a student that is trained; "
                "set weak_crops and student=ssiqa.Schedule(...), or crop_rows=False."
            )
        _require_number("teacher_share", self.teacher_share, 0, 1, or_0=True)
        _require_number("tolerance", self.tolerance, 0, 2, or_0=True, or_high=True)
        _require_number("frozen", self.frozen, 0, 1, or_0=True, or_high=True)

    @property
    def replay_pair(self) -> tuple[int, int]:
        """K1, of A, and K2, of earlier blocks."""
        return self.replay_every if isinstance(self.replay_every, tuple) else (self.replay_every, self.replay_every)

    @property
    def rows_per_photo(self) -> int:
        """Rows that a photo gives to the regression."""
        return self.weak_crops if self.crop_rows else 1

    def identity(self) -> dict[str, Any]:
        """What makes two runs the same run, as JSON values; a weight file counts by what it holds.

        Raises:
            SsiqaError: The weight file cannot be read.
        """
        settings = json.loads(to_json(asdict(self)))
        if self.weights is None:
            return {"schema": SCHEMA, "settings": settings}
        try:
            content = sha256(Path(self.weights))
        except OSError as error:
            raise SsiqaError(f"The weight file {self.weights} cannot be read; check the path.") from error
        return {"schema": SCHEMA, "settings": settings | {"weights": content}}


def _is_whole(value: object, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def _require_whole(name: str, value: object, low: int) -> None:
    if not _is_whole(value, low):
        raise SsiqaError(f"{name} is {value!r}; it must be a whole number, {low} or more.")


def _require_number(
    name: str,
    value: object,
    low: float,
    high: float,
    otherwise: str = "",
    or_0: bool = False,
    or_high: bool = False,
) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    inside = number and low < value < high  # type: ignore[operator]
    if not (inside or (number and ((or_0 and value == 0) or (or_high and value == high)))):
        limits = f"above {low:g}" + (f" and below {high:g}" if isfinite(high) else "") + (", or 0" if or_0 else "")
        limits += f" or {high:g}" if or_high else ""
        raise SsiqaError(f"{name} is {value!r}; it must be a number {limits}{otherwise}.")


_DEFAULT = Config(
    backbone="tf_efficientnet_lite0",
    depths=True,
    frozen=1 / 3,
    probe_head=True,
    teacher=Schedule(epochs=6, lr=1e-4, decay_every=3, warmup_epochs=1),
    student=None,
    short_side=384,
    grid=0,
    weak_crops=0,
    blocks=1,
    teacher_share=0.5,
)

# Implementation Details of the paper. The projection, ten crops a photo and 384 pixels (KonIQ's shorter side there) are
# those of the authors' published code.
_PAPER = Config(
    backbone="deit3_small_patch16_224.fb_in1k",
    depths=False,
    feature_dim=192,
    frozen=0.0,
    probe_head=False,
    teacher=Schedule(epochs=9, lr=2e-4, decay_every=3, warmup_epochs=3),
    student=Schedule(epochs=6, lr=2e-5, decay_every=2),
    short_side=384,
    grid=3,
    weak_crops=10,
    tolerance=2.0,
)


def make_config(preset: str = "default", **changes: Any) -> Config:
    """A preset with some settings changed; None means "as in the preset", but for ``student``, where it is a value.

    Raises:
        SsiqaError: Unknown preset or setting, or a value out of range.

    Example:
        >>> make_config("paper", seed=3).teacher.epochs
        9
    """
    if preset not in PRESETS:
        raise SsiqaError(f"No preset {preset!r}; there are: {', '.join(PRESETS)}.")
    known = [field.name for field in fields(Config)]
    if unknown := [name for name in changes if name not in known]:
        raise SsiqaError(f"No setting {unknown[0]!r}; there are: {', '.join(known)}.")
    # NumPy's numbers become Python's, which JSON can keep.
    changes = {name: getattr(value, "item", lambda value=value: value)() for name, value in changes.items()}
    changes = {name: value for name, value in changes.items() if value is not None or name == "student"}
    if "weights" in changes:
        changes["weights"] = str(Path(changes["weights"]).resolve())
    return replace(_PAPER if preset == "paper" else _DEFAULT, **changes)
