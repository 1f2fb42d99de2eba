"""What scores make of JPEGs that the decoder shrinks itself, beside those that it decodes whole.

python -m benchmarks.reduced_decode STUDENT.pt FOLDER [--count 40]

A decoder can leave out the high frequencies of each block of a JPEG, and give an image of half the side in less time.
Where the working resolution is lower still, that looks like a gift. This makes photos of 2048 x 2048, as a camera would
give them, from mosaics of photos of FOLDER, and compares the scores of both ways.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

import ssiqa
from ssiqa.data import read_image, read_unlabeled_folder

SIDE = 4
BOUND = 1e-4
"""Of the label scale: what an exported scorer may differ from its model by."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Scores of JPEGs decoded at half the side.")
    parser.add_argument("student", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=40)
    arguments = parser.parse_args()
    scorer = ssiqa.load(arguments.student)
    images = read_unlabeled_folder(arguments.folder).images
    rng = np.random.default_rng(0)
    whole, halved, seconds = [], [], np.zeros(2)
    for _ in range(arguments.count):
        chosen = [read_image(arguments.folder / images[row]) for row in rng.choice(len(images), SIDE * SIDE, False)]
        tiles = [cv2.resize(image, (512, 512), interpolation=cv2.INTER_AREA) for image in chosen]
        rows = [np.concatenate(tiles[start : start + SIDE], axis=1) for start in range(0, SIDE * SIDE, SIDE)]
        done, jpeg = cv2.imencode(".jpg", np.concatenate(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        assert done
        for place, (flag, scores) in enumerate(((cv2.IMREAD_COLOR_RGB, whole), (cv2.IMREAD_REDUCED_COLOR_2, halved))):
            started = time.perf_counter()
            pixels = cv2.imdecode(jpeg, flag)
            seconds[place] += time.perf_counter() - started
            scores.append(scorer.score(np.ascontiguousarray(pixels if place == 0 else pixels[..., ::-1])))
    span = scorer.scale.maximum - scorer.scale.minimum
    differences = np.abs(np.array(whole) - np.array(halved)) / span
    print(
        f"{arguments.count} photos of 2048 x 2048: decoding at half the side is {seconds[0] / seconds[1]:.1f}x as fast"
    )
    print(f"scores differ by {differences.mean():.1e} of the label scale on average, {differences.max():.1e} at most")
    print(f"the bound is {BOUND:g}: {'within' if differences.max() <= BOUND else 'NOT within'}")


if __name__ == "__main__":
    main()
