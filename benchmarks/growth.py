"""How time and memory grow with the number of unlabelled photos, made of the same few.

python -m benchmarks.growth LABELED UNLABELED [--sizes 1000 10000 100000] [--distinct] [--cache-size GIB]

A tiny network with random weights, one epoch and one crop a photo: what grows faster than the photos would show.
Each size runs in a fresh process with a fresh cache. The photos are links: of their own to everything but the cache,
which knows content and not names, so that decoding ends with the last content. With --distinct they are copies with a
number behind the image, and the frozen third's activations are kept: each photo is decoded and takes room in the cache.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

from ssiqa.data import read_unlabeled_folder

BACKBONE = "test_efficientnet"
CODE = """
import json, sys, time
import ssiqa
from benchmarks import memory
from benchmarks.paper import PAPER
labeled, unlabeled, run, weights, frozen, size = sys.argv[1:]
once = ssiqa.Schedule(epochs=1, lr=1e-5, decay_every=1)
profile = ssiqa.Profile()
started = time.perf_counter()
kept = {"frozen": float(frozen), "cache_size": float(size)}
few = {"short_side": 160, "grid": 1, "weak_crops": 1, "teacher": once, "student": once}
tiny = {"backbone": "test_efficientnet", "weights": weights}
report = ssiqa.adapt(labeled, unlabeled, run, profile=profile, **{**PAPER, **few}, **kept, **tiny).report
print(json.dumps({"seconds": time.perf_counter() - started, "peak": memory.peak(), "stages": profile.to_dict(),
                  "photos": report["data"]["unlabeled"]["photos"]}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Growth with the number of unlabelled photos.")
    parser.add_argument("labeled", type=Path)
    parser.add_argument("unlabeled", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 2000, 10_000, 100_000])
    parser.add_argument("--distinct", action="store_true")
    parser.add_argument("--cache-size", type=float, default=16.0)
    arguments = parser.parse_args()
    images = [arguments.unlabeled / image for image in read_unlabeled_folder(arguments.unlabeled).images]
    found = {}
    with tempfile.TemporaryDirectory() as place:
        weights = Path(place) / "tiny.safetensors"
        torch.manual_seed(0)
        save_file(timm.create_model(BACKBONE, pretrained=False).state_dict(), weights)
        for size in arguments.sizes:
            pool = Path(place) / f"pool-{size}"
            for number in range(size):
                source = images[number % len(images)]
                link = pool / f"{number // 1000:03}" / f"{number:06}{source.suffix}"
                link.parent.mkdir(parents=True, exist_ok=True)
                if arguments.distinct:
                    link.write_bytes(source.read_bytes() + str(number).encode())
                else:
                    link.symlink_to(source.resolve())
            options = [1 / 3 if arguments.distinct else 0, arguments.cache_size]
            given = [arguments.labeled, pool, Path(place) / f"run-{size}", weights, *options]
            command = [sys.executable, "-c", CODE, *map(str, given)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found[size] = json.loads(done.stdout.splitlines()[-1])
            print(f"{size} photos: {found[size]['seconds']:.1f} s, peak {found[size]['peak'] / 1e6:.0f} MB", flush=True)
    least = min(found)
    stages = sorted({name for result in found.values() for name in result["stages"]})
    print("\n| unlabelled photos | time | of each more | peak memory | " + " | ".join(stages) + " |")
    print("|---:|---:|---:|---:|" + "---:|" * len(stages))
    for size, result in found.items():
        more = result["seconds"] - found[least]["seconds"]
        each = f"{1e3 * more / (size - least):.2f} ms" if size > least else ""
        spent = " | ".join(f"{result['stages'].get(name, {'seconds': 0})['seconds']:.1f}" for name in stages)
        print(f"| {size} | {result['seconds']:.1f} s | {each} | {result['peak'] / 1e6:.0f} MB | {spent} |")


if __name__ == "__main__":
    main()
