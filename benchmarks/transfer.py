"""What else might carry over to B, on what a pretrained network sees: other kernels, other resolutions, a second view.

python -m benchmarks.transfer DATA --kept FOLDER [--seeds 3] [--sides 224,384,512]

As `benchmarks.depths`, whose descriptions of photos it shares, with all depths. "near" is ss03_test, "far" pcuid.

    kernels      one RBF of all depths (what `adapt` uses), one RBF for each depth, added up, and a linear one; gamma
                 and alpha by leave-one-group-out on at most three photos of each group
    resolutions  the shorter side of the working image, in pixels, for one RBF
    second view  pseudo-labels of ss03_unlabeled taught to a regression that sees the last depth alone, in the units of
                 B: that student, and the mean of it and its teacher; then the same of a student that is taught A's
                 truth, too; and the student that `adapt` makes of a teacher without a network: views of each depth and
                 all above it, weighed, taught to a regression on all depths that has A's truth in it. In column
                 "cluster out" all is within A, half of each cluster being B and the other half the test
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh

import ssiqa
from benchmarks.depths import CLUSTERS, Depths, Folders, Network, Photos, Standard, clusters_of, folders_of, show, srcc
from ssiqa.data import holdout_split
from ssiqa.neighbourhoods import neighbourhoods
from ssiqa.refit import mean_noise
from ssiqa.views import FEWEST, pseudo_labels

Floats = NDArray[np.float64]
Kernel = Callable[[Sequence[Floats], Sequence[Floats], float], Floats]
VIEWS = ("teacher", "second view", "mean of both", "second view, of A too", "mean of both, of A too", "student")
GAMMAS = (0.03, 0.1, 0.3, 1.0)
ALPHAS = np.logspace(-2.5, 1, 8)


def main() -> None:
    parser = argparse.ArgumentParser(description="What else might carry over.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--kept", type=Path, required=True, help="folder for what photos look like to the network")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sides", default="384")
    arguments = parser.parse_args()
    columns = ("cluster out", "A's hold-out", "near", "far")
    print(f"| | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}", flush=True)
    for side in map(int, arguments.sides.split(",")):
        photos = folders_of(Network("tf_efficientnet_lite0", None, arguments.kept, side), arguments.data)
        names = KERNELS if side == 384 else ("one RBF",)
        for name in names:
            show(f"{name}, {side} pixels", [kernel_study(photos, name, seed) for seed in range(arguments.seeds)])
        if side == 384:
            found = [list(view_study(photos, seed)) for seed in range(arguments.seeds)]
            for number, name in enumerate(VIEWS):
                show(name, [rows[number] for rows in found])


def kernel_study(photos: Folders, name: str, seed: int) -> tuple[float, ...]:
    source = photos.ss01
    train, holdout = holdout_split(source.groups, 0.2, seed)
    rows = some_of_each(source.groups, train, 3, np.random.default_rng(seed))
    look = Separate(source.depths, train)
    x, y, groups = look(source.depths, rows), source.labels[rows], source.groups[rows]
    kernel = KERNELS[name](x)
    model = GroupOut(kernel).fit(x, y, groups)
    clusters, outside = clusters_of(np.concatenate(x, axis=1), groups, seed), []
    for cluster in range(CLUSTERS):
        inside = clusters == cluster
        others = GroupOut(kernel).fit([depth[~inside] for depth in x], y[~inside], groups[~inside])
        outside.append(srcc(others.predict([depth[inside] for depth in x]), y[inside]))
    return (
        float(np.mean(outside)),
        srcc(model.predict(look(source.depths, holdout)), source.labels[holdout]),
        *(srcc(model.predict(look(test.depths)), test.labels) for test in (photos.ss03_test, photos.pcuid)),
    )


def view_study(photos: Folders, seed: int) -> Iterator[tuple[float, ...]]:
    """Of teacher, student and their mean: cluster out, hold-out, near and far."""
    source, everything = photos.ss01, list(range(len(photos.ss01.depths)))
    train, holdout = holdout_split(source.groups, 0.2, seed)
    clusters, outside = clusters_of(Standard(source.depths, train, everything)(source.depths), source.groups, seed), []
    rng = np.random.default_rng(seed)
    for cluster in range(CLUSTERS):
        inside = np.flatnonzero(clusters == cluster)
        groups = rng.permutation(np.unique(source.groups[inside]))
        is_pool = np.isin(source.groups[inside], groups[: len(groups) // 2])
        pool, test = (part(source, inside[chosen]) for chosen in (is_pool, ~is_pool))
        outside.append(views(part(source, np.flatnonzero(clusters != cluster)), pool, [test], seed)[0])
    known = part(source, train)
    own, near = views(known, photos.ss03, [part(source, holdout), photos.ss03_test], seed)
    (far,) = views(known, photos.pcuid, [photos.pcuid], seed)
    yield from zip(np.mean(outside, axis=0).tolist(), own, near, far, strict=True)


def views(source: Photos, pool: Photos, tests: list[Photos], seed: int) -> list[tuple[float, ...]]:
    """For each test the agreement of what VIEWS lists."""
    everything = np.arange(len(source.labels)), list(range(len(source.depths)))
    all_depths = Standard(source.depths, *everything)
    teacher = ssiqa.KernelRidge(random_state=seed).fit(all_depths(source.depths), source.labels, source.groups)
    said, stds = teacher.predict(all_depths(pool.depths), return_std=True)
    taught = Photos(pool.depths, said, pool.groups)
    students = [Student(taught, seed), Student(joined(source, taught), seed)]
    seen = all_depths(pool.depths)
    widths = [depth.shape[1] for depth in pool.depths]
    labels = said
    if len(said) >= FEWEST:
        given, of_teacher, doubt = (torch.from_numpy(array) for array in (seen.astype(np.float32), said, stds))
        labels = pseudo_labels(given, widths, of_teacher, doubt, neighbourhoods(given, seed), seed).numpy()
    penalty = mean_noise(teacher.alpha_, len(source.labels), stds, teacher.scale_)
    adapted = ssiqa.KernelRidge(teacher.gamma_, penalty, random_state=seed)
    adapted.fit(np.concatenate([all_depths(source.depths), seen]), np.concatenate([source.labels, labels]))
    found = []
    for test in tests:
        old = teacher.predict(all_depths(test.depths))
        row = [srcc(old, test.labels)]
        for student in students:
            new = student(test)
            both = (old - old.mean()) / old.std() + (new - new.mean()) / new.std()
            row += [srcc(new, test.labels), srcc(both, test.labels)]
        found.append((*row, srcc(adapted.predict(all_depths(test.depths)), test.labels)))
    return found


class Student:
    """A regression on the last depth alone."""

    def __init__(self, photos: Photos, seed: int) -> None:
        self._last = Standard(photos.depths, np.arange(len(photos.labels)), [len(photos.depths) - 1])
        self._model = ssiqa.KernelRidge(alpha=0.3, random_state=seed).fit(self._last(photos.depths), photos.labels)

    def __call__(self, photos: Photos) -> Floats:
        predicted: Floats = self._model.predict(self._last(photos.depths))
        return predicted


def joined(first: Photos, second: Photos) -> Photos:
    depths = [np.concatenate(pair) for pair in zip(first.depths, second.depths, strict=True)]
    return Photos(depths, np.concatenate([first.labels, second.labels]), np.concatenate([first.groups, second.groups]))


def part(photos: Photos, rows: NDArray[np.int64]) -> Photos:
    return Photos([depth[rows] for depth in photos.depths], photos.labels[rows], photos.groups[rows])


def some_of_each(
    groups: NDArray[np.int64], rows: NDArray[np.int64], most: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    chosen = [rng.permutation(rows[groups[rows] == group])[:most] for group in np.unique(groups[rows])]
    return np.sort(np.concatenate(chosen))


class Separate:
    """Features of each depth by itself, in standard deviations of A and of unit length."""

    def __init__(self, depths: Depths, rows: NDArray[np.int64]) -> None:
        self._standards = [Standard(depths, rows, [depth]) for depth in range(len(depths))]

    def __call__(self, depths: Depths, rows: NDArray[np.int64] | None = None) -> list[Floats]:
        chosen = depths if rows is None else [depth[rows] for depth in depths]
        return [standard(chosen) for standard in self._standards]


class GroupOut:
    """Kernel ridge regression, gamma and alpha by the error on groups left out."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def fit(self, x: Sequence[Floats], y: Floats, groups: NDArray[np.int64]) -> GroupOut:
        self._x, self._mean, best = x, y.mean(), np.inf
        members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
        for gamma in GAMMAS:
            values, vectors = eigh(self._kernel(x, x, gamma), driver="evd")
            for alpha in ALPHAS:
                inverse = (vectors / (np.maximum(values, 0) + alpha)) @ vectors.T
                coef = inverse @ (y - self._mean)
                errors = [np.linalg.solve(inverse[np.ix_(rows, rows)], coef[rows]) for rows in members]
                error = float(np.mean([np.mean(group**2) for group in errors]))
                if error < best:
                    best, self._gamma, self._coef = error, gamma, coef
        return self

    def predict(self, x: Sequence[Floats]) -> Floats:
        predicted: Floats = self._kernel(x, self._x, self._gamma) @ self._coef + self._mean
        return predicted


def _distances(x: Floats, z: Floats) -> Floats:
    return np.asarray(ssiqa.kernels.squared_distances(np.ascontiguousarray(x), np.ascontiguousarray(z)))


def _median(x: Floats) -> float:
    return float(np.median(_distances(x, x)[np.triu_indices(len(x), 1)]))


def one_rbf(a: Sequence[Floats]) -> Kernel:
    median = _median(np.concatenate(a, axis=1))
    return lambda x, z, gamma: np.exp(
        -gamma / median * _distances(np.concatenate(x, axis=1), np.concatenate(z, axis=1))
    )


def added_rbfs(a: Sequence[Floats]) -> Kernel:
    medians = [_median(depth) for depth in a]
    return lambda x, z, gamma: np.mean(
        [
            np.exp(-gamma / median * _distances(*pair))
            for median, pair in zip(medians, zip(x, z, strict=True), strict=True)
        ],
        axis=0,
    )


def linear(a: Sequence[Floats]) -> Kernel:
    median = _median(np.concatenate(a, axis=1))
    return lambda x, z, gamma: gamma * 2 / median * np.concatenate(x, axis=1) @ np.concatenate(z, axis=1).T


KERNELS: dict[str, Callable[[Sequence[Floats]], Kernel]] = {
    "one RBF": one_rbf,
    "one RBF a depth": added_rbfs,
    "linear": linear,
}


if __name__ == "__main__":
    main()
