"""The settings of a run, and the two presets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ssiqa.errors import SsiqaError

PRESETS = ("default", "paper")


@dataclass(frozen=True)
class Schedule:
    """How long and how fast one training runs.

    Attributes:
        epochs: Passes over the photos; each photo gives one fresh crop a pass.
        lr: Adam's learning rate after warm-up.
        decay_every: Epochs, counted from the end of warm-up, after which the rate falls to a tenth, again and again.
        warmup_epochs: Leading epochs over which the rate rises linearly, step by step.
        batch_size: Crops in an optimiser step.
    """

    epochs: int
    lr: float
    decay_every: int
    warmup_epochs: int = 0
    batch_size: int = 32

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
        feature_dim: Size of the projection before the head, or None for the backbone's pooled output.
        frozen: Share (0..1) of the backbone's first layers that keep their pretrained weights.
        probe_head: Start the head from closed-form ridge regression on the pretrained features instead of from zero,
            so that the first gradient steps do not distort the features to fit a random head.
        teacher: Schedule of phase 0.
        student: Schedule of phases 1 to N.
        short_side: Working resolution: pixels of a photo's shorter side.
        grid: Scoring averages ``grid * grid`` crops.
        weak_crops: Random crops per photo that are pooled into its features.
        holdout: Share of A that is never trained on.
        blocks: N, the number of blocks that B is cut into.
        replay_every: K1 = K2 of SDK-Sample: one exemplar for this many photos; 0 switches replay off.
        krr: Pseudo-labels by kernel ridge regression; otherwise the teacher's own predictions.
        gamma: RBF width, or "auto" for leave-one-out.
        alpha: Ridge penalty (the paper's lambda), or "auto" for leave-one-out.
        seed: Root of every random choice.
    """

    backbone: str
    frozen: float
    probe_head: bool
    teacher: Schedule
    student: Schedule
    short_side: int
    grid: int
    weak_crops: int
    weights: str | None = None
    feature_dim: int | None = None
    holdout: float = 0.2
    blocks: int = 3
    replay_every: int = 100
    krr: bool = True
    gamma: float | Literal["auto"] = "auto"
    alpha: float | Literal["auto"] = "auto"
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


_DEFAULT = Config(
    backbone="tf_efficientnet_lite0",
    frozen=1 / 3,
    probe_head=True,
    teacher=Schedule(epochs=6, lr=1e-4, decay_every=3, warmup_epochs=1),
    student=Schedule(epochs=4, lr=5e-5, decay_every=2),
    short_side=384,
    grid=3,
    weak_crops=4,
)

# Implementation Details of the paper; the short side and the ten crops are those of the authors' test protocol.
_PAPER = Config(
    backbone="deit3_small_patch16_224.fb_in1k",
    feature_dim=192,
    frozen=0.0,
    probe_head=False,
    teacher=Schedule(epochs=9, lr=2e-4, decay_every=3, warmup_epochs=3),
    student=Schedule(epochs=6, lr=2e-5, decay_every=2),
    short_side=384,
    grid=3,
    weak_crops=10,
)


def make_config(preset: str = "default", **changes: Any) -> Config:
    """A preset with some settings changed; None means "as in the preset".

    Raises:
        SsiqaError: Unknown preset or setting, or a value out of range.

    Example:
        >>> make_config("paper", seed=3).teacher.epochs
        9
    """
    if preset not in PRESETS:
        raise SsiqaError(f"No preset {preset!r}; there are: {', '.join(PRESETS)}.")
    changes = {name: value for name, value in changes.items() if value is not None}
    if "weights" in changes:
        changes["weights"] = str(Path(changes["weights"]).resolve())
    try:
        config = replace(_PAPER if preset == "paper" else _DEFAULT, **changes)
    except TypeError as error:
        raise SsiqaError(f"Unknown setting: {error}.") from error
    _validate(config)
    return config


def _validate(config: Config) -> None:
    if config.blocks < 1:
        raise SsiqaError(f"blocks is {config.blocks}; it must be at least 1.")
    if config.seed < 0:
        raise SsiqaError(f"seed is {config.seed}; it must not be negative.")
    for name in ("gamma", "alpha"):
        value = getattr(config, name)
        if value != "auto" and not (isinstance(value, int | float) and 0 < value < float("inf")):
            raise SsiqaError(f"{name} is {value!r}; it must be a positive number or 'auto'.")
