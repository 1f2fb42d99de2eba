"""The settings that the authors' published code runs with, as far as this package's pipeline reaches them.

Theirs: a transformer whose tokens are read by a decoder with six queries, trained by AdamW on ten random crops of each
image in a pass; kernel ridge regression on single crops, with one of two fixed widths and a penalty of 1; some
databases resized to a fixed size whatever their proportions; and scores that are means over ten random crops. What
differs all the same is said beneath each table, by :data:`DIFFERENCES`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import torch
from torch.nn.functional import interpolate

from ssiqa.cache import CACHE_GIB, open_cache
from ssiqa.config import make_config
from ssiqa.data import Photo, read_image, read_labeled_folder
from ssiqa.distill import MANY_CROPS
from ssiqa.features import predictions
from ssiqa.files import sha256, written_beside
from ssiqa.lanes import Lanes
from ssiqa.learner import Learner
from ssiqa.metrics import Evaluation, agreement
from ssiqa.profile import Profile
from ssiqa.progress import Task
from ssiqa.protocol.archives import faults_named
from ssiqa.protocol.database import Database
from ssiqa.protocol.honest import Honest, config_of
from ssiqa.protocol.readers import read_koniq10k
from ssiqa.results import Adaptation
from ssiqa.run import Run

DIFFERENCES = (
    "a network without class token is read at its pooled output, where theirs is a transformer whose tokens a decoder "
    "with six queries reads",
    "the regression is fitted anew in each phase, where theirs is fitted once; its targets are centred",
    "an image of B is learnt with the mean of what the regression says of its ten crops, where theirs has ten labels",
    "labels are standardised, where theirs are mapped to 0..100, higher is better: features trained for them may be of "
    "another scale, which a fixed width does not follow",
    "an exemplar is an image, where theirs is a crop; one is replayed for a hundred, where theirs are as few or up to "
    "twenty times as many by pair of databases",
    "steps are of 32 crops, where theirs are of 16 to 128 by pair of databases, at the same learning rates",
    "of more crops than memory holds kernels of, the regression keeps 2,048 centres (Nystrom), where theirs is exact",
    "crops are cut from images of 384 pixels on their shorter side (LIVE and CSIQ 512), where theirs are cut from what "
    "the database holds or the fixed size",
    "SPAQ is resized and kept as JPEG of quality 75, as their script for it does; of their loaders one reads what it "
    "made, and those for adaptation read the folder that it was made from",
    "images are resized by torch, where theirs are by Pillow; unsupervised peers see them as the databases hold them",
    "figures on A are the exported scorers', which look at a fixed grid of crops",
    "means are over all seeds, where theirs are over the better half",
)

QUERIES = 6
WEIGHT_DECAY, CLIP = 0.05, 5.0
GAMMA, GAMMA_OF_MANY, ALPHA = 1e-3, 1e-4, 1.0
"""Widths with up to :data:`MANY_CROPS` in the training part of A, and beyond, where their script for large databases is
taken to run; and the penalty."""

SIZES = {"koniq10k": (512, 384), "spaq": (512, 384), "livefb": (512, 512)}
"""Height and width to which their code resizes, SPAQ in a script of its own."""

_JPEG = ("spaq",)
_QUALITY = 75
"""What that script keeps as JPEG, at Pillow's default."""

SHORT_SIDE = {"live": 512, "csiq": 512}
"""Of most of the images, where it is not the preset's."""


class Authors(Honest):
    """Preset ``paper`` with the settings of the authors' code, except for :data:`DIFFERENCES`."""

    footnotes = (
        "The authors' settings, but for these differences:",
        "",
        *(f"- {line}" for line in DIFFERENCES),
    )

    def labelled(self, database: Database, reader: str) -> Database:
        """KonIQ-10k by its MOS from z-scores."""
        if reader != "koniq10k":
            return database
        with faults_named(reader, database.root):
            return read_koniq10k(database.root, "MOS_zscore")

    def prepared(self, database: Database, reader: str, kept: Path) -> Database:
        """Resized to the fixed size, if it has one; pictures that are there already are not made again."""
        if reader not in SIZES:
            return database
        ending, quality = (".jpg", [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]) if reader in _JPEG else (".png", [])
        images = tuple(f"{image}{ending}" for image in database.images)
        root = kept / f"{SIZES[reader][0]}x{SIZES[reader][1]}-{database.digest[:12]}"

        def resize(names: tuple[str, str]) -> None:
            if (root / names[1]).is_file():
                return
            pixels = torch.from_numpy(read_image(database.root / names[0])).permute(2, 0, 1)[None].float()
            resized = interpolate(pixels, size=SIZES[reader], mode="bilinear", antialias=True).round()
            _, encoded = cv2.imencode(ending, resized[0].byte().permute(1, 2, 0).numpy()[..., ::-1], quality)
            with written_beside(root / names[1]) as beside:
                beside.write_bytes(encoded.tobytes())
                time = (database.root / names[0]).stat().st_mtime_ns
                os.utime(beside, ns=(time, time))  # made again it is the same image

        pairs = list(zip(database.images, images, strict=True))
        with Task(f"Resizing {database.name}", len(pairs)) as task, Lanes() as lanes:
            for _ in task.each(lanes.map(resize, pairs)):
                pass
        return replace(database, root=root, images=images)

    def settings(self, images: int, reader: str) -> dict[str, Any]:
        paper = make_config("paper")
        assert paper.student is not None, "the paper's is trained"
        trained: dict[str, Any] = {"crops": paper.weak_crops, "weight_decay": WEIGHT_DECAY, "clip": CLIP}
        crops = paper.weak_crops * (1 - paper.holdout) * images
        return {
            "preset": "paper",
            "queries": QUERIES,
            "teacher": replace(paper.teacher, **trained),
            "student": replace(paper.student, **trained),
            "crop_rows": True,
            "gamma": GAMMA_OF_MANY if crops > MANY_CROPS else GAMMA,
            "alpha": ALPHA,
            "short_side": SHORT_SIDE.get(reader, paper.short_side),
        }

    def measured(self, run: Adaptation, test: Path, settings: Mapping[str, Any]) -> list[Evaluation]:
        """Means over random crops, ten with preset ``paper``, of the networks after the first phase and the last."""
        folder = read_labeled_folder(test)
        paths = [folder.root / image for image in folder.images]
        photos = [Photo(path, bytes.fromhex(sha256(path))) for path in paths]
        config, found = config_of(settings), []
        with TemporaryDirectory() as decoded:
            cache, device = open_cache(Path(decoded), CACHE_GIB), torch.device(run.report["device"])
            learner = Learner(config, device, run.report["precision"], cache, Profile())
            for phase in (0, config.blocks):
                Run(run.output_dir, {}).load_weights(learner.model, phase)
                with learner.observing(phase, len(photos), "test") as observer:
                    scores = predictions(observer.look(photos, again=False)).cpu().numpy()
                found.append(agreement(scores, folder.scale.sign * folder.labels))
        return found
