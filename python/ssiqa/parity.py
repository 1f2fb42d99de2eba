"""Scores saved images with a saved scorer. Run as a script in a fresh process that has torch and nothing of ssiqa."""

import json
import sys
import warnings

import torch


def main(scorer_path: str, images_path: str) -> None:
    warnings.simplefilter("ignore", Warning)
    scorer = torch.jit.load(scorer_path, map_location="cpu")  # type: ignore[no-untyped-call]
    with torch.inference_mode():
        scores = [scorer(images).tolist() for images in torch.load(images_path, weights_only=True)]
    json.dump(scores, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
