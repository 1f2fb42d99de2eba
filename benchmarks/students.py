"""Where the gain comes from: what the parts of the default say, alone and together, on features of real photos.

python -m benchmarks.students DATA --kept FOLDER [--seeds 5] [--crops 4] [--backbone NAME --weights FILE]

DATA and FOLDER as for `benchmarks.adaptation`, whose phase 0 on ss01 (rows "default" of near) it takes; photos are
looked at once for each seed, as the default does, or by random crops (--crops). "near" is ss03_test, adapted to
ss03_unlabeled; "far" is pcuid, adapted to itself. SRCC, mean and deviation over seeds:

    network                 phase 0, by its own head
    regression on A         kernel ridge regression on its features
    teacher                 half the network, and a regression on A of what that leaves: what `adapt` exports as teacher
    views                   the mean of regressions on each depth of B and those above it, taught what the teacher
                            says there; far, which is tested on B itself, in other neighbourhoods of it
    last depth              that on the last depth alone
    teacher's labels        the student with the teacher's labels alone
    student                 the student of `adapt`
    student, last depth     with labels by one view, of the last depth alone
    student, half           with labels half the teacher's and half that view's, whatever their precision
    student, small penalty  with the penalty that was chosen for A
    student without network a regression alone, not on what half the network leaves
    3 blocks                the same, B in three blocks, each student the teacher of the next
    30 labels of B          the teacher's regression on those beside A's: what rating photos is worth (near alone)
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from scipy.stats import spearmanr
from torch import Tensor

from benchmarks.adaptation import find_tasks, phase_0_of
from benchmarks.spread import over_seeds
from ssiqa import distill, kernels, ridge
from ssiqa.cache import open_cache
from ssiqa.config import make_config
from ssiqa.data import LabeledFolder, Photo, check_images, partition, read_labeled_folder
from ssiqa.features import Look
from ssiqa.gpu_ridge import median_distance
from ssiqa.kernel_head import KernelHead
from ssiqa.learner import Learner
from ssiqa.material import gather
from ssiqa.neighbourhoods import neighbourhoods
from ssiqa.profile import Profile
from ssiqa.refit import mean_noise
from ssiqa.views import ALPHA, WIDTH, pseudo_labels, view

SHARE = make_config().teacher_share
Scorer = Callable[[Look], Tensor]
LABELS_OF_B = (30, 100, 300, 1500)


class World(NamedTuple):
    """What a seed's teacher sees.

    Attributes:
        known: Training part of A.
        truth: Its labels, internal scale.
        groups: Its groups.
        pools: Photos to adapt to.
        rated: Labels of the first of the pools, internal scale, from the oracle.
        tests: Photos and labels to test on: of each of the pools, then A's hold-out.
        widths: How many features each depth gives.
        seed: Of the run.
    """

    known: Look
    truth: Tensor
    groups: NDArray[np.int64]
    pools: tuple[Look, Look]
    rated: Tensor
    tests: tuple[tuple[Look, NDArray[np.float64]], ...]
    widths: tuple[int, ...]
    seed: int


def main() -> None:
    parser = argparse.ArgumentParser(description="Where the gain comes from.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--kept", type=Path, required=True, help="folder of benchmarks.adaptation")
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--crops", type=int, default=0, help="random crops by which photos are seen; 0: as by default")
    arguments = parser.parse_args()
    backbone = {"backbone": arguments.backbone, "weights": arguments.weights}
    found: dict[str, list[list[float]]] = {}
    for seed in range(arguments.seeds):
        settings = backbone | {"seed": seed}
        world = look(arguments.data, arguments.kept, settings, arguments.crops)
        for name, scorers in parts(world):
            rows = [
                np.nan if scorer is None else float(spearmanr(scorer(photos), labels).statistic)
                for scorer, (photos, labels) in zip((*scorers, scorers[0]), world.tests, strict=True)
            ]
            found.setdefault(name, []).append(rows)
            print(f"seed {seed}, {name}: " + " ".join(f"{value:.4f}" for value in rows), flush=True)
    print("\n| | near | far | A's hold-out |\n|---|---:|---:|---:|")
    for name, seeds in found.items():
        cells = ("" if np.isnan(of).all() else over_seeds(of) for of in zip(*seeds, strict=True))
        print(f"| {name} | " + " | ".join(cells) + " |")


def look(data: Path, kept: Path, settings: dict[str, Any], crops: int) -> World:
    """All photos as the settled teacher of a run sees them, or would see them by so many crops."""
    tasks, config = find_tasks(data, kept), make_config(**settings, weak_crops=crops)
    learner = Learner(config, torch.device("cpu"), "float32", open_cache(kept / "cache", 16), Profile())
    learner.model.restore(load_file(phase_0_of(kept, tasks["near"], settings) / "phase-0.safetensors"))
    learner.settle()
    material = gather(tasks["near"].labeled, tasks["near"].unlabeled, config, "raise", learner.photos)
    near, far = (read_labeled_folder(tasks[name].test) for name in ("near", "far"))
    rated = read_labeled_folder(tasks["bound"].labeled)
    oracle = dict(zip(rated.images, rated.labels, strict=True))
    labels = np.array([oracle[name] for name in material.block_names(0)])

    def seen(photos: list[Photo]) -> Look:
        with learner.observing(0, len(photos)) as observer:
            return Look.join(list(observer.look(photos, again=True)))

    pool, of_far = seen(material.block_photos(0)), seen(photos_of(learner, far))
    holdout = seen(material.holdout_photos), material.labeled.scale.to_internal(material.holdout_labels)
    return World(
        seen(material.truth.photos),
        torch.from_numpy(material.truth.targets),
        material.train_groups,
        (pool, of_far),
        torch.from_numpy(material.labeled.scale.to_internal(labels)),
        ((seen(photos_of(learner, near)), near.labels), (of_far, far.labels), holdout),
        learner.model.reader.widths,
        config.seed,
    )


def photos_of(learner: Learner, folder: LabeledFolder) -> list[Photo]:
    checked = check_images(folder.root, folder.images, on_error="raise", admit=learner.photos.admit)
    return [Photo(folder.root / image, digest) for image, digest in zip(folder.images, checked.digests, strict=True)]


def parts(world: World) -> Iterator[tuple[str, tuple[Scorer, Scorer | None]]]:
    """Each part's scorers, for near and, where there is one, for far."""
    fitted = distill.regression(world.known, world.truth.numpy(), world.groups, make_config(seed=world.seed))
    assert fitted is not None
    gamma, alpha = fitted.gamma, fitted.alpha
    widths, last = world.widths, world.widths[-1:]

    def regression(learnt: list[tuple[Look, Tensor]], penalty: float = alpha, share: float = SHARE) -> Scorer:
        head = KernelHead.fit(
            torch.cat([photos.features for photos, _ in learnt]),
            torch.cat([labels - share * photos.own for photos, labels in learnt]),
            gamma=gamma,
            alpha=penalty,
            seed=world.seed,
        )
        return lambda photos: head(photos.features).double() + share * photos.own

    def stds(photos: Look) -> Tensor:
        return fitted.predict(photos.features.double())[1]

    def penalty(pool: Look) -> float:
        return mean_noise(alpha, len(world.truth), stds(pool).numpy(), fitted.scale)

    def seen(pool: Look, firsts: list[int]) -> Scorer:
        """The mean of views of a pool from these features on; of the pool itself by what they learnt in other
        neighbourhoods."""
        said, alike = teacher(pool), neighbourhoods(pool.features, world.seed)

        def of(photos: Look, first: int) -> Tensor:
            features = pool.features[:, first:]
            if photos is pool:
                return view(features, said, alike, world.seed)[0]
            gamma = WIDTH / median_distance(kernels.squared_distances(features, features))
            model = ridge.fit(features, said, gamma=gamma, alpha=ALPHA, seed=world.seed)
            return model.predict(photos.features[:, first:])[0].double()

        return lambda photos: torch.stack([of(photos, first) for first in firsts]).mean(0)

    def labels(pool: Look, said: Tensor, widths: tuple[int, ...]) -> Tensor:
        alike = neighbourhoods(pool.features, world.seed)
        return pseudo_labels(pool.features[:, -sum(widths) :], widths, said, stds(pool), alike, world.seed)

    def half(pool: Look, said: Tensor, widths: tuple[int, ...]) -> Tensor:
        alike = neighbourhoods(pool.features, world.seed)
        return (said + view(pool.features[:, -sum(widths) :], said, alike, world.seed)[0]) / 2

    def student(
        pool: Look,
        *,
        blocks: int = 1,
        share: float = SHARE,
        labels: Callable[[Look, Tensor, tuple[int, ...]], Tensor] = labels,
        widths: tuple[int, ...] = widths,
        least: float | None = None,
    ) -> Scorer:
        labelled, of_now = [(world.known, world.truth)], teacher
        for rows in partition(len(pool.scores), blocks, world.seed):
            block = Look(pool.features[rows], pool.own[rows], pool.scores[rows])
            labelled.append((block, labels(block, of_now(block), widths)))
            learnt = Look.join([photos for photos, _ in labelled[1:]])
            of_now = regression(labelled, penalty(learnt) if least is None else least, share)
        return of_now

    def network(photos: Look) -> Tensor:
        return photos.own

    on_a, teacher = (regression([(world.known, world.truth)], share=share) for share in (0.0, SHARE))

    near, far = world.pools

    def both(scorer: Callable[[Look], Scorer]) -> tuple[Scorer, Scorer]:
        return scorer(near), scorer(far)

    yield "network", (network, network)
    yield "regression on A", (on_a, on_a)
    yield "teacher", (teacher, teacher)
    starts = np.cumsum([0, *widths]).tolist()[:-1]
    yield "views", both(lambda pool: seen(pool, starts))
    yield "last depth", both(lambda pool: seen(pool, starts[-1:]))
    yield (
        "teacher's labels",
        both(lambda pool: regression([(world.known, world.truth), (pool, teacher(pool))], penalty(pool))),
    )
    yield "student", both(student)
    yield "student, last depth", both(partial(student, widths=last))
    yield "student, half", both(partial(student, labels=half, widths=last))
    yield "student, small penalty", both(partial(student, least=alpha))
    yield "student without network", both(partial(student, share=0.0))
    yield "3 blocks", both(partial(student, blocks=3))
    order = np.random.default_rng(world.seed).permutation(len(world.rated))
    for count in LABELS_OF_B:
        rows = order[:count]
        some = Look(near.features[rows], near.own[rows], near.scores[rows])
        yield f"{count} labels of B", (regression([(world.known, world.truth), (some, world.rated[rows])]), None)


if __name__ == "__main__":
    main()
