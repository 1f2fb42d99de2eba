"""What labels of B are worth by how much of them is the views', and by what views may learn from.

python -m benchmarks.weighing DATA --kept FOLDER [--seeds 3] [--backbone NAME --weights FILE]

On what a pretrained network sees, as `benchmarks.depths`, by a teacher that is a regression on A alone. SRCC of labels,
mean and deviation over seeds, of clusters and kernels (of kernels alone where A is a whole folder):

    within ss01, ss03  each cluster of A's groups is B, and the others are A: what A can tell of it
    near, far          A is ss01, B ss03_unlabeled or pcuid
    reverse            A is ss03_unlabeled, B ss01

    teacher            what it says; in B's units: where features of B are standardised on B, and not on A
    as claimed         teacher and view weighed by posterior variances, and then the mean over views, each of which
                       learns from any other photos of B
    as right           variances of views scaled to what they miss of what the teacher says, and views weighed by them
    as claimed, apart  and as right, apart: views learn from other neighbourhoods alone. The last is what `adapt` does
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import ssiqa
from benchmarks.depths import CLUSTERS, Network, Photos, Standard, arguments_of, clusters_of, folders_of, srcc
from benchmarks.spread import over_seeds
from benchmarks.transfer import part
from ssiqa import views
from ssiqa.neighbourhoods import neighbourhoods


def main() -> None:
    arguments = arguments_of("What labels of B are worth by how they are weighed.")
    describe = Network(arguments.backbone, arguments.weights, arguments.kept)
    ss01, _, pcuid, ss03 = folders_of(describe, arguments.data)
    pairs: dict[str, Callable[[int], Iterable[tuple[Photos, Photos]]]] = {
        "within ss01": partial(within, ss01),
        "within ss03": partial(within, ss03),
        "near": lambda seed: [(ss01, ss03)],
        "far": lambda seed: [(ss01, pcuid)],
        "reverse": lambda seed: [(ss03, ss01)],
    }
    found = {
        name: [[dict(labels(*pair, seed)) for pair in pairs_of(seed)] for seed in range(arguments.seeds)]
        for name, pairs_of in pairs.items()
    }
    print(f"| | {' | '.join(found)} |\n|---|{'---:|' * len(found)}")
    for row in found["near"][0][0]:
        cells = (
            over_seeds([float(np.mean([pair[row] for pair in of_seed])) for of_seed in seeds], digits=4)
            for seeds in found.values()
        )
        print(f"| {row} | {' | '.join(cells)} |")


def within(source: Photos, seed: int) -> Iterator[tuple[Photos, Photos]]:
    """Each cluster as B, and the others as A."""
    look = Standard(source.depths, np.arange(len(source.labels)), list(range(len(source.depths))))
    clusters = clusters_of(look(source.depths), source.groups, seed)
    for cluster in range(CLUSTERS):
        inside = clusters == cluster
        yield part(source, np.flatnonzero(~inside)), part(source, np.flatnonzero(inside))


def labels(source: Photos, pool: Photos, seed: int) -> Iterator[tuple[str, float]]:
    """Each way of labelling the pool, and how labels agree with opinions."""
    look = Standard(source.depths, np.arange(len(source.labels)), list(range(len(source.depths))))
    teacher = ssiqa.KernelRidge(random_state=seed).fit(look(source.depths), source.labels, source.groups)
    said, stds = map(torch.from_numpy, teacher.predict(look(pool.depths), return_std=True))
    features = torch.from_numpy(look(pool.depths).astype(np.float32))
    widths = [depth.shape[1] for depth in pool.depths]
    yield "teacher", srcc(said.numpy(), pool.labels)
    of_pool = Standard(pool.depths, np.arange(len(pool.labels)), list(range(len(pool.depths))))
    yield "teacher, in B's units", srcc(teacher.predict(of_pool(pool.depths)), pool.labels)
    for name, alike in (("", np.arange(len(said))), (", apart", neighbourhoods(features, seed))):
        claimed = as_claimed(features, widths, said, stds, alike, seed)
        yield f"as claimed{name}", srcc(claimed.numpy(), pool.labels)
        right = views.pseudo_labels(features, widths, said, stds, alike, seed)
        yield f"as right{name}", srcc(right.numpy(), pool.labels)


def as_claimed(
    features: Tensor, widths: list[int], said: Tensor, stds: Tensor, alike: NDArray[np.int64], seed: int
) -> Tensor:
    """Labels as they were before: unscaled variances, and each view of the same weight."""
    mixed = torch.zeros_like(said)
    for first in accumulate(widths[:-1], initial=0):
        seen, view_stds = views.view(features[:, first:], said, alike, seed)
        mixed += said + stds**2 / (stds**2 + view_stds**2) * (seen - said)
    return mixed / len(widths)


if __name__ == "__main__":
    main()
