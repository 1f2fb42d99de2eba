"""Scores saved images with saved scorers. Run as a script in a fresh process that has torch and nothing of ssiqa."""

import json
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch


def main(images_path: str, found_path: str, *scorer_paths: str) -> None:
    warnings.simplefilter("ignore", Warning)
    batches = torch.load(images_path, weights_only=True)
    with ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        found = json.dumps([scores(path, batches, pool) for path in scorer_paths])
    Path(found_path).write_text(found)  # not printed: libraries print, too, when they are asked to


def scores(path: str, batches: list[torch.Tensor], pool: ThreadPoolExecutor) -> Any:
    """Scores and margins of all images, as two lists."""
    with Path(path).open("rb") as file:  # torch takes no path that is not Unicode
        scorer = torch.jit.load(file, map_location="cpu")  # type: ignore[no-untyped-call]

    def score(images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return torch.stack(scorer.score_and_margin(images))

    return torch.cat(list(pool.map(score, batches)), 1).tolist()


if __name__ == "__main__":
    main(*sys.argv[1:])
