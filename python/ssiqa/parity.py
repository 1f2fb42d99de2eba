"""Scores saved images with a saved scorer. Run as a script in a fresh process that has torch and nothing of ssiqa."""

import json
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import torch


def main(scorer_path: str, images_path: str) -> None:
    warnings.simplefilter("ignore", Warning)
    scorer = torch.jit.load(scorer_path, map_location="cpu")  # type: ignore[no-untyped-call]

    def score(images: torch.Tensor) -> list[list[float]]:
        with torch.inference_mode():
            return [part.tolist() for part in scorer.score_and_margin(images)]

    batches = torch.load(images_path, weights_only=True)
    with ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        json.dump(list(pool.map(score, batches)), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
