"""Options that several commands have, said once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from ssiqa.cache import CACHE_GIB
from ssiqa.config import SEEDS

PATH = click.Path(path_type=Path)
DEVICE = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where networks and regressions run; auto is a GPU that ssiqa has kernels for.",
)
SEED = click.option(
    "--seed", type=click.IntRange(0, SEEDS - 1), default=0, show_default=True, help="Of every random choice."
)
BACKBONE = click.option("--backbone", metavar="NAME", help="Any timm model name.")
WEIGHTS = click.option(
    "--weights", type=PATH, metavar="FILE", help="Local weights of the backbone (safetensors or timm)."
)
PRECISION = click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="Numbers that training is computed in; auto is bfloat16 where the device computes it natively.",
)
CACHE = click.option(
    "--cache",
    "cache_dir",
    type=PATH,
    metavar="DIR",
    help="Keep decoded photos there, and what frozen layers see of them, for other runs too.",
)
CACHE_SIZE = click.option(
    "--cache-size",
    type=click.FloatRange(min=0),
    default=CACHE_GIB,
    show_default=True,
    help="GiB that the cache may hold.",
)
_OF_THE_MACHINE = (
    DEVICE,
    click.option(
        "--on-error",
        type=click.Choice(["raise", "skip"]),
        default="raise",
        show_default=True,
        help="What an unreadable photo in UNLABELED does.",
    ),
    PRECISION,
    CACHE,
    CACHE_SIZE,
    click.option("--profile", "profiled", is_flag=True, help="Print where the time went."),
)


def machine_options(command: Callable[..., None]) -> Callable[..., None]:
    """What `adapt` and `update` have in common: where and how a run is made, and not what comes of it."""
    for option in reversed(_OF_THE_MACHINE):
        command = option(command)
    return command
