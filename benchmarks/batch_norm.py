"""What carries over to B where a pretrained network's batch norm is estimated anew on B.

python -m benchmarks.batch_norm DATA --kept FOLDER [--seeds 3]

Regressions as in `benchmarks.depths`, on all depths of EfficientNet-Lite0. Means and variances of its batch norms are
estimated on central squares of a folder's photos, in batches, all layers at once. Rows say how much of them, beside
what the network was trained with, a folder is read by: A by those of A, B by those of B. SRCC, mean and deviation over
seeds:

    within ss01    each cluster of A's groups is B, and the others, by the statistics of all of ss01, are A: what A can
                   tell of it
    A's hold-out   read as A
    near, far      A is ss01, B ss03_unlabeled (tested on ss03_test) or pcuid
    reverse        A is ss03_unlabeled, B ss01
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

import ssiqa
from benchmarks.depths import CLUSTERS, Network, Photos, Standard, clusters_of, labeled, oracle, show, srcc
from benchmarks.transfer import part
from ssiqa.data import holdout_split, read_image, read_labeled_folder, read_unlabeled_folder

NETWORK = "tf_efficientnet_lite0"
BATCH = 32
SHARES = {"as trained": 0.0, "half the folder's": 0.5, "the folder's": 1.0}


def main() -> None:
    parser = argparse.ArgumentParser(description="What carries over where batch norm is estimated anew on B.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--kept", type=Path, required=True, help="folder for what photos look like to the network")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    columns = ("within ss01", "A's hold-out", "near", "far", "reverse")
    print(f"| batch norm | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}", flush=True)
    for name, share in SHARES.items():
        study = Study(arguments.data, arguments.kept, share)
        show(name, [study(seed) for seed in range(arguments.seeds)])


class Study:
    """All folders, each by so much of its own statistics."""

    def __init__(self, data: Path, kept: Path, share: float) -> None:
        biq, far = data / "biq2021", data / "pcuid"
        self._root, self._kept, self._share = biq / "ss01", kept, share
        self._images = read_labeled_folder(self._root).images
        self._plain = labeled(Network(NETWORK, None, kept), self._root)
        self._ss01 = labeled(self._network(self._root, self._images), self._root)
        by_ss03, by_far = (
            self._network(root, read_unlabeled_folder(root).images)
            for root in (biq / "ss03_unlabeled", far / "unlabeled")
        )
        self._ss03 = oracle(by_ss03, biq / "ss03_unlabeled", biq / "ss03_unlabeled_oracle.csv")
        self._tests = labeled(by_ss03, biq / "ss03_test"), oracle(by_far, far / "unlabeled", far / "oracle.csv")

    def __call__(self, seed: int) -> tuple[float, ...]:
        """What each column has."""
        train, holdout = holdout_split(self._ss01.groups, 0.2, seed)
        tests = part(self._ss01, holdout), *self._tests
        return (
            float(np.mean(list(self._within(seed)))),
            *agreement(part(self._ss01, train), tests, seed),
            *agreement(self._ss03, [self._ss01], seed),
        )

    def _within(self, seed: int) -> Iterator[float]:
        look = Standard(self._plain.depths, np.arange(len(self._images)), list(range(len(self._plain.depths))))
        clusters = clusters_of(look(self._plain.depths), self._plain.groups, seed)  # the same in each row
        for cluster in range(CLUSTERS):
            rows = np.flatnonzero(clusters == cluster)
            images = [self._images[row] for row in rows]
            seen = self._network(self._root, images)(self._root, images)
            test = Photos(seen, self._ss01.labels[rows], self._ss01.groups[rows])
            yield from agreement(part(self._ss01, np.flatnonzero(clusters != cluster)), [test], seed)

    def _network(self, root: Path, images: Sequence[str]) -> Network:
        if self._share == 0:
            return Network(NETWORK, None, self._kept)
        return Renormed(self._kept, root, tuple(images), self._share)


def agreement(source: Photos, tests: Sequence[Photos], seed: int) -> Iterator[float]:
    """SRCC of a regression on one folder, on others."""
    look = Standard(source.depths, np.arange(len(source.labels)), list(range(len(source.depths))))
    teacher = ssiqa.KernelRidge(random_state=seed).fit(look(source.depths), source.labels, source.groups)
    for test in tests:
        yield srcc(teacher.predict(look(test.depths)), test.labels)


class Renormed(Network):
    """The network with a share of its batch norms' statistics estimated on these photos."""

    def __init__(self, kept: Path, root: Path, images: tuple[str, ...], share: float) -> None:
        super().__init__(NETWORK, None, kept)
        photos = "\n".join((str(root), *images))
        self._name += f" {share} {hashlib.sha256(photos.encode()).hexdigest()}"
        for norm, estimated in zip(norms_of(self._reader), self._estimated(kept, root, images), strict=True):
            for known, of_photos in zip((norm.running_mean, norm.running_var), estimated, strict=True):
                assert known is not None
                known.lerp_(of_photos, share)

    @staticmethod
    @cache
    @torch.inference_mode()
    def _estimated(kept: Path, root: Path, images: tuple[str, ...]) -> list[tuple[Tensor, Tensor]]:
        network = Network(NETWORK, None, kept)
        for norm in norms_of(network._reader):
            norm.reset_running_stats()
            norm.momentum = None  # each batch counts the same
            norm.train()
        order = np.random.default_rng(0).permutation(len(images))
        for rows in np.array_split(order, -(-len(images) // BATCH)):
            images_of = (
                network._preprocess.working_images(torch.from_numpy(read_image(root / images[row]))[None])
                for row in rows
            )
            network._reader(network._preprocess.normalize(torch.cat([square(image) for image in images_of])))
        return [(norm.running_mean, norm.running_var) for norm in norms_of(network._reader)]  # type: ignore[misc]


def square(image: Tensor) -> Tensor:
    """The middle of a working image ``(1, 3, h, w)``."""
    height, width = image.shape[2:]
    side = min(height, width)
    return image.narrow(2, (height - side) // 2, side).narrow(3, (width - side) // 2, side)


def norms_of(network: nn.Module) -> list[_BatchNorm]:
    return [module for module in network.modules() if isinstance(module, _BatchNorm)]


if __name__ == "__main__":
    main()
