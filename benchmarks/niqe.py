"""What NIQE, which nobody trains, says of the photos that adaptation is tested on.

python -m benchmarks.niqe DATA --peers FOLDER

DATA as for `benchmarks.adaptation`; FOLDER holds the authors' parameters, as for `ssiqa reproduce`. SRCC.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from ssiqa.data import read_image
from ssiqa.errors import DataError
from ssiqa.lanes import Lanes
from ssiqa.progress import Task
from ssiqa.protocol.niqe import PARAMETERS, Niqe

RATED = {
    "ss03_test": ("biq2021/ss03_test", "biq2021/ss03_test/labels.csv"),
    "pcuid": ("pcuid/unlabeled", "pcuid/oracle.csv"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="What NIQE says.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--peers", type=Path, required=True, help="folder of the authors' parameters")
    arguments = parser.parse_args()
    niqe = Niqe.load(arguments.peers / PARAMETERS)
    for name, (images, table) in RATED.items():
        print(f"{name}: {agreement(niqe, arguments.data / images, arguments.data / table)}", flush=True)


def agreement(niqe: Niqe, images: Path, table: Path) -> str:
    """SRCC with the labels of a table, and how many images have no score."""
    with table.open(newline="") as file:
        labels = {images / row["image"]: float(row["mos"]) for row in csv.DictReader(file)}

    def judged(path: Path) -> float:
        try:
            return -niqe.score(read_image(path))
        except DataError:  # too small, or without texture
            return np.nan

    with Task(f"NIQE on {images.name}", len(labels)) as task, Lanes() as lanes:
        scores = np.array(list(task.each(lanes.map(judged, list(labels)))))
    there = np.isfinite(scores)
    srcc = spearmanr(scores[there], np.array(list(labels.values()))[there]).statistic
    return f"{srcc:.3f} ({len(there) - there.sum()} of {len(there)} have no score)"


if __name__ == "__main__":
    main()
