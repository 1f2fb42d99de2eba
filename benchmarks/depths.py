"""What of A's labels carries over to B: kernel ridge regression on pretrained features of several depths, by seed.

python -m benchmarks.depths DATA --kept FOLDER [--backbone NAME --weights FILE] [--seeds 3]

DATA holds biq2021 (ss01, ss03_unlabeled, ss03_test, ss03_unlabeled_oracle.csv) and pcuid (unlabeled, oracle.csv). A
photo is described once, by what `ssiqa.reader` reads at each depth of the whole working image, or of the crops that
cover it; FOLDER keeps that. Where a transformer hands on a class token there are rows without it and with it alone.
"scene statistics" are mean and deviation, over blocks of 96 pixels, of the 36 numbers by which NIQE judges an image.
Each seed holds out a fifth of ss01, groups together. gamma and alpha are chosen by leave-one-out on one photo of each
group of the rest. "cluster out" is what A alone says of a jump to other contents: five clusters of its groups, each
predicted from the others. The labels of ss03 and pcuid choose nothing; "bound" is fitted on those of ss03_unlabeled.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.cluster import BisectingKMeans

import ssiqa
from benchmarks.spread import over_seeds
from ssiqa.data import holdout_split, read_image, read_labeled_folder, read_unlabeled_folder
from ssiqa.lanes import Lanes
from ssiqa.models import build_model
from ssiqa.preprocess import Preprocess
from ssiqa.progress import Task
from ssiqa.protocol.niqe import Niqe
from ssiqa.reader import pool_moments, takes_any_size

CLUSTERS = 5
LIMIT = 6.0  # standard deviations of A, beyond which a feature says no more than "far away"

Depths = list[NDArray[np.float64]]


class Photos(NamedTuple):
    """Photos of one folder: each depth's features ``(n, d)``, and labels, for A also groups."""

    depths: Depths
    labels: NDArray[np.float64]
    groups: NDArray[np.int64]


class Folders(NamedTuple):
    """The folders that studies are made on; all of ss03 but its test has its oracle's labels."""

    ss01: Photos
    ss03_test: Photos
    pcuid: Photos
    ss03: Photos


def main() -> None:
    arguments = arguments_of("What carries over, depth by depth.")
    network = Network(arguments.backbone, arguments.weights, arguments.kept)
    folders = folders_of(network, arguments.data)
    statistics = folders_of(SceneStatistics("scene statistics", arguments.kept), arguments.data)
    count = len(folders.ss01.depths)
    everything = list(range(count))
    chosen = {f"depth {depth}": [depth] for depth in everything}
    chosen |= {"last two": [count - 2, count - 1], "upper half": everything[count // 2 :], "all": everything}
    columns = ("cluster out", "A's hold-out", "ss03_test", "pcuid", "bound on ss03_test")
    print(f"| depths | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}", flush=True)

    def studied(folders: Folders, depths: list[int]) -> list[tuple[float, ...]]:
        return [study(folders, depths, seed) for seed in range(arguments.seeds)]

    for name, depths in chosen.items():
        show(name, studied(folders, depths))
    beside = Folders(
        *(photos._replace(depths=photos.depths + more.depths) for photos, more in zip(folders, statistics, strict=True))
    )
    show("all, scene statistics beside", studied(beside, [*everything, count]))
    show("scene statistics alone", studied(beside, [count]))
    if network.has_class_token:
        for name, parts in (("all, without class token", (0, 1)), ("all, class token alone", (2,))):
            show(name, studied(Folders(*(only(photos, parts) for photos in folders)), everything))


def arguments_of(description: str) -> argparse.Namespace:
    """Of a study of what a pretrained network sees."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("data", type=Path)
    parser.add_argument("--kept", type=Path, required=True, help="folder for what photos look like to the network")
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    return parser.parse_args()


def show(name: str, rows: Sequence[Sequence[float]]) -> None:
    """A row of a table, of what each seed has in its columns."""
    print(f"| {name} | {' | '.join(over_seeds(found) for found in zip(*rows, strict=True))} |", flush=True)


class Describer(ABC):
    """Photos to some vectors each, which a folder keeps."""

    def __init__(self, name: str, kept: Path) -> None:
        self._name, self._kept = name, kept

    @abstractmethod
    def _see(self, path: Path) -> list[NDArray[np.float32]]: ...

    def __call__(self, root: Path, images: Sequence[str]) -> Depths:
        contents = (f"{image} {hashlib.sha256((root / image).read_bytes()).hexdigest()}" for image in images)
        key = hashlib.sha256("\n".join([self._name, *contents]).encode()).hexdigest()[:16]
        path = self._kept / f"{key}.npz"
        if not path.is_file():
            with Lanes() as lanes, Task(f"Describing {root.name}", len(images)) as task:
                seen = list(task.each(lanes.map(lambda image: self._see(root / image), images)))
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, *(np.stack(depth) for depth in zip(*seen, strict=True)))
        with np.load(path) as file:
            return [file[f"arr_{depth}"].astype(np.float64) for depth in range(len(file.files))]


class Network(Describer):
    """A pretrained network, asked what it sees at each depth."""

    def __init__(self, backbone: str, weights: Path | None, kept: Path, side: int = 384) -> None:
        self._reader = build_model(backbone, weights, depths=True).reader.eval()
        given = weights and hashlib.sha256(weights.read_bytes()).hexdigest()
        super().__init__(f"{backbone} {given} {side} {self._reader.widths} {self._reader.parts}", kept)
        self._preprocess = Preprocess.for_backbone(self._reader.backbone, side, 0, takes_any_size(self._reader))
        self.has_class_token = self._reader.parts == 3

    @torch.inference_mode()
    def _see(self, path: Path) -> list[NDArray[np.float32]]:
        working = self._preprocess.working_images(torch.from_numpy(read_image(path))[None])
        crops = torch.cat(self._preprocess.grid_rows(self._preprocess.normalize(working)))
        read = pool_moments(self._reader(crops)[None], self._reader.widths, self._reader.parts)
        return [depth.numpy() for depth in torch.split(read[0], list(self._reader.widths))]


class SceneStatistics(Describer):
    """Natural-scene statistics of the photo as it is, by the features of NIQE."""

    def _see(self, path: Path) -> list[NDArray[np.float32]]:
        line = cv2.getGaussianKernel(7, 7 / 6)
        blocks = Niqe(np.zeros(36), np.eye(36), line @ line.T).features(read_image(path))
        blocks = blocks[np.isfinite(blocks).all(1)]  # flat blocks have none
        return [np.concatenate([blocks.mean(0), blocks.std(0)] if len(blocks) else [np.zeros(72)]).astype(np.float32)]


def folders_of(describe: Describer, data: Path) -> Folders:
    biq, pcuid = data / "biq2021", data / "pcuid"
    return Folders(
        labeled(describe, biq / "ss01"),
        labeled(describe, biq / "ss03_test"),
        oracle(describe, pcuid / "unlabeled", pcuid / "oracle.csv"),
        oracle(describe, biq / "ss03_unlabeled", biq / "ss03_unlabeled_oracle.csv"),
    )


def only(photos: Photos, parts: Sequence[int]) -> Photos:
    """Of each depth's mean, deviation and class token these."""
    depths = [np.concatenate([np.split(depth, 3, axis=1)[part] for part in parts], axis=1) for depth in photos.depths]
    return photos._replace(depths=depths)


def labeled(describe: Describer, root: Path) -> Photos:
    folder = read_labeled_folder(root)
    return Photos(describe(root, folder.images), folder.labels, folder.groups)


def oracle(describe: Describer, root: Path, table: Path) -> Photos:
    images = read_unlabeled_folder(root).images
    with table.open(newline="") as file:
        rows = {Path(row["image"]).name: float(row["mos"]) for row in csv.DictReader(file)}
    labels = np.array([rows[Path(image).name] for image in images])
    return Photos(describe(root, images), labels, np.arange(len(images)))


def study(folders: Folders, depths: list[int], seed: int) -> tuple[float, ...]:
    source, domain = folders.ss01, folders.ss03
    train, holdout = holdout_split(source.groups, 0.2, seed)
    look = Standard(source.depths, train, depths)
    x, y, groups = look(source.depths), source.labels, source.groups
    model = ssiqa.KernelRidge(random_state=seed).fit(x[train], y[train], groups[train])
    clusters = clusters_of(look(source.depths)[train], groups[train], seed)
    outside = []
    for cluster in range(CLUSTERS):
        inside = clusters == cluster
        others = ssiqa.KernelRidge(random_state=seed).fit(x[train][~inside], y[train][~inside], groups[train][~inside])
        outside.append(srcc(others.predict(x[train][inside]), y[train][inside]))
    look_there = Standard(domain.depths, np.arange(len(domain.labels)), depths)
    bound = ssiqa.KernelRidge(random_state=seed).fit(look_there(domain.depths), domain.labels)
    return (
        float(np.mean(outside)),
        srcc(model.predict(x[holdout]), y[holdout]),
        srcc(model.predict(look(folders.ss03_test.depths)), folders.ss03_test.labels),
        srcc(model.predict(look(folders.pcuid.depths)), folders.pcuid.labels),
        srcc(bound.predict(look_there(folders.ss03_test.depths)), folders.ss03_test.labels),
    )


class Standard:
    """Features of several depths as one vector: each in standard deviations of A, each depth of the same weight."""

    def __init__(self, depths: Depths, rows: NDArray[np.int64], chosen: list[int]) -> None:
        self._chosen = chosen
        self._means = {depth: depths[depth][rows].mean(0) for depth in chosen}
        self._stds = {depth: depths[depth][rows].std(0) + 1e-6 for depth in chosen}

    def __call__(self, depths: Depths) -> NDArray[np.float64]:
        parts = []
        for depth in self._chosen:
            scaled = np.clip((depths[depth] - self._means[depth]) / self._stds[depth], -LIMIT, LIMIT)
            parts.append(scaled / np.sqrt(scaled.shape[1]))
        return np.concatenate(parts, axis=1)


def clusters_of(x: NDArray[np.float64], groups: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Cluster of each row, whole groups together."""
    numbers = np.unique(groups, return_inverse=True)[1]
    means = np.stack([x[numbers == number].mean(0) for number in range(numbers.max() + 1)])
    found = BisectingKMeans(CLUSTERS, random_state=seed, n_init=5, bisecting_strategy="largest_cluster").fit(means)
    clusters: NDArray[np.int64] = found.labels_[numbers]
    return clusters


def srcc(scores: NDArray[np.float64], labels: NDArray[np.float64]) -> float:
    return float(spearmanr(scores, labels).statistic)


if __name__ == "__main__":
    main()
