"""`ssiqa.adapt` beside the authors' loop written plainly: the same photos, the same number of optimiser steps.

python -m benchmarks.end_to_end BIQ2021                 ss01 -> ss03, by benchmarks.paper (the plain loop takes hours)
python -m benchmarks.end_to_end BIQ2021 --share 0.25    a seeded quarter of the photos, for both
python -m benchmarks.end_to_end BIQ2021 --without-plain ours alone

BIQ2021 is a folder with ss01 and ss03_test, which have labels, and ss03_unlabeled. Both start from the same ImageNet
weights, each in a fresh process, one after the other. Adaptation is timed whole, without its evaluation on ss03_test.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ssiqa
from ssiqa.data import read_image, read_labeled_folder, read_unlabeled_folder

OURS = """
import json, sys, time
import ssiqa
from benchmarks import memory
from benchmarks.end_to_end import steps
from benchmarks.paper import PAPER
labeled, unlabeled, test, run, cache, seed = sys.argv[1:]
started = time.perf_counter()
profile = ssiqa.Profile()
adaptation = ssiqa.adapt(labeled, unlabeled, run, cache_dir=cache, profile=profile, seed=int(seed), **PAPER)
seconds = time.perf_counter() - started
print(profile, file=sys.stderr)
result = {"peak": memory.peak(), "steps": steps(adaptation.report), "seconds": seconds}
result |= {"stages": profile.to_dict(), "outside": profile.outside_network()}
result["precision"] = adaptation.report["precision"]
for name in ("teacher", "student"):
    result[name] = ssiqa.evaluate(getattr(adaptation, name), test).srcc
    result[f"{name} hold-out"] = adaptation.report["holdout"][name]["srcc"]
print(json.dumps(result))
"""
AGAIN = """
import json, sys
import ssiqa
labeled, unlabeled, run, cache = sys.argv[1:]
once = ssiqa.Schedule(epochs=1, lr=1e-5, decay_every=1)
profile = ssiqa.Profile()
few = {"teacher": once, "student": once, "weak_crops": 1, "blocks": 1}
ssiqa.adapt(labeled, unlabeled, run, cache_dir=cache, profile=profile, **few)
print(json.dumps(profile.to_dict()))
"""
ROUNDS = 5
SCORED = 100


def main() -> None:
    parser = argparse.ArgumentParser(description="adapt beside the authors' loop.")
    parser.add_argument("data", type=Path, metavar="BIQ2021")
    parser.add_argument("--share", type=float, default=1.0, help="of the photos of ss01 and ss03_unlabeled (0..1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without-plain", action="store_true")
    parser.add_argument("--json", type=Path, default=Path("end_to_end.json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        results = measure(
            arguments.data, Path(place), arguments.share, arguments.seed, plain=not arguments.without_plain
        )
    arguments.json.write_text(json.dumps(results, indent=2))
    print(table(results))


def measure(data: Path, place: Path, share: float, seed: int, *, plain: bool) -> dict[str, Any]:
    labeled, unlabeled, test = data / "ss01", data / "ss03_unlabeled", data / "ss03_test"
    if share < 1:
        test = part(test, place / "test", share)
        labeled, unlabeled = part(labeled, place / "labeled", share), part(unlabeled, place / "unlabeled", share)
    run, cache = place / "run", place / "cache"
    results: dict[str, Any] = {
        "photos": {
            "labeled": len(read_labeled_folder(labeled).images),
            "unlabeled": len(read_unlabeled_folder(unlabeled).images),
        }
    }
    results["ssiqa"] = child("-c", OURS, labeled, unlabeled, test, run, cache, str(seed))
    results["again"] = child("-c", AGAIN, labeled, unlabeled, place / "again", cache)
    results["score"] = score_rates(run / "student.pt", test)
    if plain:
        options = ("--seed", str(seed), "--json", place / "plain.json")
        child("-m", "benchmarks.plain", labeled, unlabeled, test, *options)
        results["plain"] = json.loads((place / "plain.json").read_text())
        if results["plain"]["steps"] != results["ssiqa"]["steps"]:
            raise RuntimeError("The two did not make the same number of optimiser steps.")
    return results


def steps(report: dict[str, Any]) -> int:
    """Optimiser steps of a run, from its report."""
    made = 0
    for phase, schedule in zip(report["phases"], ("teacher", *["student"] * 99), strict=False):
        block = report["data"]["labeled"]["train"] if phase["phase"] == 0 else report["data"]["unlabeled"]["blocks"]
        examples = block if phase["phase"] == 0 else block[phase["phase"] - 1] + sum(phase["exemplars"])
        made += len(phase["losses"]) * ceil(examples / report["settings"][schedule]["batch_size"])
    return made


def child(*arguments: str | Path) -> dict[str, Any]:
    """The JSON in the last line that a fresh process prints, if it prints such a line."""
    # As the command line does it: OpenMP threads that wait leave the cores to others.
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    lines = done.stdout.strip().splitlines()
    result: dict[str, Any] = json.loads(lines[-1]) if lines[-1].startswith("{") else {}
    return result


def part(folder: Path, place: Path, share: float) -> Path:
    """A seeded part of a folder, as links."""
    images = read_unlabeled_folder(folder).images
    rng = np.random.default_rng(0)
    chosen = [images[row] for row in sorted(rng.permutation(len(images))[: round(share * len(images))])]
    for image in chosen:
        (place / image).parent.mkdir(parents=True, exist_ok=True)
        (place / image).symlink_to((folder / image).resolve())
    if (folder / "labels.csv").is_file():
        with (folder / "labels.csv").open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["image"] in set(chosen)]
        with (place / "labels.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    return place


def score_rates(student: Path, test: Path) -> dict[str, float]:
    """Images/s of scoring files, and of the forward pass alone with the photos in memory.

    That is the faster of two: the scorer on arrays, and the file's module on tensors with torch's own threads.
    """
    scorer, module = ssiqa.load(student), torch.jit.load(student)  # type: ignore[no-untyped-call]
    folder = read_labeled_folder(test)
    paths = [folder.root / image for image in folder.images[:SCORED]]
    pixels = [read_image(path) for path in paths]
    tensors = [torch.from_numpy(image)[None] for image in pixels]

    @torch.inference_mode()
    def forward() -> None:
        for tensor in tensors:
            module(tensor)

    ways = {"folder": lambda: scorer.score(paths), "memory": lambda: scorer.score(pixels), "module": forward}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if number > 0:  # the first warms up
                rates[name].append(len(paths) / (time.perf_counter() - started))
    ratios = [folder / max(alone) for folder, *alone in zip(*rates.values(), strict=True)]
    return {name: statistics.median(found) for name, found in rates.items()} | {"ratio": statistics.median(ratios)}


def table(results: dict[str, Any]) -> str:
    ours, plain, score = results["ssiqa"], results.get("plain"), results["score"]
    photos, again = results["photos"], results["again"]
    decoded = int(again.get("decode", {}).get("images", 0))
    lines = [
        f"{photos['labeled']} labelled and {photos['unlabeled']} unlabelled photos, {ours['precision']}",
        "",
        "| | time | SRCC on ss03_test | peak memory |",
        "|---|---:|---:|---:|",
        f"| ssiqa | {ours['seconds']:.0f} s | {ours['student']:.3f} (teacher {ours['teacher']:.3f}) "
        f"| {ours['peak'] / 1e9:.2f} GB |",
    ]
    if plain:
        lines.append(
            f"| plain loop | {plain['seconds']:.0f} s | {plain['srcc']:.3f} "
            f"| {plain['peak'] / 1e9:.2f} GB without its workers |"
        )
    lines += ["", "| target | wanted | measured | |", "|---|---|---|---|"]

    def add(name: str, wanted: str, measured: str, reached: bool) -> None:
        lines.append(f"| {name} | {wanted} | {measured} | {'reached' if reached else 'MISSED'} |")

    if plain:
        ratio = plain["seconds"] / ours["seconds"]
        add("adapt beside the plain loop", ">= 5x", f"{ratio:.1f}x", ratio >= 5)
    strict = ours["outside"] + ours["stages"]["scoring"]["share"]
    found = f"{ours['outside']:.1%}; {strict:.1%} with scoring of the hold-out as outside"
    add("time outside forward, backward, optimiser", "<= 15 %", found, ours["outside"] <= 0.15)
    add("score a folder beside the forward pass alone", ">= 90 %", f"{score['ratio']:.1%}", score["ratio"] >= 0.9)
    add("photos decoded in a second run", "0", str(decoded), decoded == 0)
    lines += ["", "| stage | seconds | share | images/s |", "|---|---:|---:|---:|"]
    for name, stage in ours["stages"].items():
        rate = f"{stage['images'] / stage['seconds']:.1f}" if stage["images"] and stage["seconds"] else ""
        lines.append(f"| {name} | {stage['seconds']:.1f} | {stage['share']:.1%} | {rate} |")
    if plain:
        stages = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in plain["stages"].items())
        made = f"{plain['steps']} optimiser steps, {plain['workers']} worker processes (the quickest of 0 to 2)"
        lines += ["", f"Plain loop: {stages}; {made}."]
    lines += [
        "",
        f"Scoring: {score['folder']:.1f} images/s from files, {score['memory']:.1f} from memory, "
        f"{score['module']:.1f} by the file's module with torch's own threads.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
