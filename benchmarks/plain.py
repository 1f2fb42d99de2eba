"""The authors' loop, plainly: SS-IQA as a script writes it, from the description in the paper.

PIL decodes each photo anew for each crop, torchvision's transforms and a DataLoader with worker processes bring it to
the network, which is float32 as torch computes it by default; ten random crops of each photo are seen before each
phase, once for the regression and once more for the exemplars; scikit-learn's KernelRidge is fitted on all crops of A,
and exemplars come from a list, by heapq. The backbone, the photos, the split, the blocks and the number of optimiser
steps are those of `benchmarks.paper`. Labels are standardised, and the regression's gamma and alpha are
scikit-learn's defaults. It gets the number of worker processes with which its first steps are quickest here.

    python -m benchmarks.plain LABELED UNLABELED TEST [--seed S] [--json FILE]
"""

from __future__ import annotations

import argparse
import copy
import heapq
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.stats import spearmanr
from sklearn.kernel_ridge import KernelRidge
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks import memory
from benchmarks.paper import PAPER
from ssiqa.config import Schedule, make_config
from ssiqa.data import holdout_split, partition, read_labeled_folder, read_unlabeled_folder
from ssiqa.models import build_model

CROPS = 10
TRIED_WORKERS = (0, 1, 2)
TRIED_STEPS = 6
_seconds: dict[str, float] = {}


@contextmanager
def timed(name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    _seconds[name] = _seconds.get(name, 0.0) + time.perf_counter() - started
    print(f"{name}: {time.perf_counter() - started:.1f} s", flush=True)


class Crops(Dataset):  # type: ignore[type-arg]
    """``crops`` random crops of each photo, each from a photo that is read anew."""

    def __init__(self, paths: list[Path], targets: Any, crops: int, flip: bool, config: dict[str, Any]) -> None:
        self.paths, self.targets, self.crops = paths, targets, crops
        steps = [transforms.Resize(384), transforms.RandomCrop(config["input_size"][-1])]
        steps += [transforms.RandomHorizontalFlip()] if flip else []
        steps += [transforms.ToTensor(), transforms.Normalize(config["mean"], config["std"])]
        self.transform = transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self.paths) * self.crops

    def __getitem__(self, index: int) -> tuple[Tensor, float]:
        photo = index // self.crops
        image = Image.open(self.paths[photo]).convert("RGB")
        return self.transform(image), float(self.targets[photo])


class Model(nn.Module):
    def __init__(self, backbone: nn.Module, width: int) -> None:
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(width, 1)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        features = self.backbone(crops)
        return features, self.head(features).squeeze(1)


_workers = 0


def loader(data: Crops, batch: int, shuffle: bool) -> DataLoader[Any]:
    return DataLoader(data, batch_size=batch, shuffle=shuffle, num_workers=_workers)


def choose_workers(model: Model, data: Crops, schedule: Schedule) -> None:
    global _workers
    seconds = {}
    for _workers in TRIED_WORKERS:
        started = time.perf_counter()
        train(copy.deepcopy(model), data, schedule, most=TRIED_STEPS)
        seconds[_workers] = time.perf_counter() - started
    _workers = min(seconds, key=seconds.__getitem__)
    print(
        f"{TRIED_STEPS} steps took " + ", ".join(f"{s:.1f} s with {n} workers" for n, s in seconds.items()), flush=True
    )


def train(model: Model, data: Crops, schedule: Schedule, most: int | None = None) -> int:
    optimizer = torch.optim.Adam(model.parameters(), lr=schedule.lr)
    steps = 0
    model.train()
    for epoch in range(schedule.epochs if most is None else 1):
        batches = loader(data, schedule.batch_size, shuffle=True)
        for number, (crops, targets) in enumerate(islice(batches, most), start=1):
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(epoch, number / len(batches))
            optimizer.zero_grad()
            loss = F.smooth_l1_loss(model(crops)[1], targets.float())
            loss.backward()
            optimizer.step()
            steps += 1
    return steps


@torch.no_grad()
def look(model: Model, data: Crops) -> tuple[Any, Any]:
    """Features and scores of each crop."""
    model.eval()
    seen = [model(crops) for crops, _ in loader(data, 32, shuffle=False)]
    return torch.cat([features for features, _ in seen]).numpy(), torch.cat([scores for _, scores in seen]).numpy()


def exemplars(model: Model, data: Crops, every: int) -> list[int]:
    _, scores = look(model, data)
    differences = []
    for index in range(len(data)):
        photo = index // data.crops
        differences.append((abs(scores[index].item() - float(data.targets[photo])), photo))
    return [photo for _, photo in heapq.nsmallest(ceil(len(data.paths) / every), differences)]


def main() -> None:
    parser = argparse.ArgumentParser(description="The authors' loop, plainly.")
    parser.add_argument("labeled", type=Path)
    parser.add_argument("unlabeled", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    settings = make_config(seed=arguments.seed, **PAPER)
    torch.manual_seed(settings.seed)
    labeled, pool = read_labeled_folder(arguments.labeled), read_unlabeled_folder(arguments.unlabeled)
    rows, held_out = holdout_split(labeled.groups, settings.holdout, settings.seed)
    targets = (labeled.labels - labeled.labels.mean()) / labeled.labels.std()
    paths = [labeled.root / image for image in labeled.images]
    built = build_model(settings.backbone)
    config: Any = built.backbone.pretrained_cfg
    model = Model(built.backbone.to(memory_format=torch.contiguous_format), built.feature_dim)
    for parameter in model.parameters():
        parameter.requires_grad_(True)

    def crops(photos: list[Path], values: Any, count: int, flip: bool = False) -> Crops:
        return Crops(photos, values, count, flip, config)

    truth = [paths[row] for row in rows], targets[rows]
    choose_workers(model, crops(*truth, 1, flip=True), settings.teacher)
    started = time.perf_counter()
    with timed("training"):
        steps = train(model, crops(*truth, 1, flip=True), settings.teacher)
    with timed("hold-out"):
        look(model, crops([paths[row] for row in held_out], targets[held_out], CROPS))
    seen = [truth]
    for block in partition(len(pool.images), settings.blocks, settings.seed):
        photos = [pool.root / pool.images[row] for row in block]
        with timed("features"):
            known, _ = look(model, crops(*truth, CROPS))
            unknown, _ = look(model, crops(photos, np.zeros(len(photos)), CROPS))
        with timed("regression"):
            regression = KernelRidge(kernel="rbf").fit(known, np.repeat(truth[1], CROPS))
            labels = regression.predict(unknown).reshape(-1, CROPS).mean(1)
        chosen = []
        with timed("selection"):
            for old, values in seen:
                kept = exemplars(model, crops(old, values, CROPS), settings.replay_every)
                chosen.append(([old[photo] for photo in kept], values[kept]))
        everything = [(photos, labels), *chosen]
        data = crops(
            [path for part, _ in everything for path in part], np.concatenate([v for _, v in everything]), 1, flip=True
        )
        with timed("training"):
            steps += train(model, data, settings.student)
        seen.append((photos, labels))
    with timed("hold-out"):
        look(model, crops([paths[row] for row in held_out], targets[held_out], CROPS))
    seconds = time.perf_counter() - started

    test = read_labeled_folder(arguments.test)
    photos = [test.root / image for image in test.images]
    _, scores = look(model, crops(photos, test.labels, CROPS))
    srcc = float(spearmanr(scores.reshape(-1, CROPS).mean(1), test.labels).statistic)
    result = {"seconds": seconds, "steps": steps, "srcc": srcc, "stages": _seconds}
    result |= {"workers": _workers, "peak": memory.peak()}
    print(json.dumps(result, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
