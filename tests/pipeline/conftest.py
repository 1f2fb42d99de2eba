"""A small world for the pipeline: a tiny backbone with saved weights, and two folders of blurred textures."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import timm
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

import ssiqa

BACKBONE = "test_efficientnet"
LABELED, UNLABELED = 24, 12


def texture(seed: int, blur: float, size: tuple[int, int] = (180, 200)) -> np.ndarray[Any, Any]:
    """A random texture, the blurrier the worse."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (size[0] // 10, size[1] // 10, 3)).astype(np.uint8)
    sharp = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_NEAREST)
    return cv2.GaussianBlur(sharp, (0, 0), blur) if blur else sharp


def write_photo(path: Path, rgb: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), rgb[..., ::-1])


def student_weights(run: Path, phase: int = 2) -> dict[str, Any]:
    return load_file(run / f"checkpoints/phase-{phase}.safetensors")


def assert_same_student(a: Path, b: Path) -> None:
    first, second = student_weights(a), student_weights(b)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert (a / "pseudo_labels.csv").read_text() == (b / "pseudo_labels.csv").read_text()
    photo = texture(50, 1.0)
    assert ssiqa.load(a / "student.pt").score(photo) == ssiqa.load(b / "student.pt").score(photo)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the tiny backbone, as a user's local file: asked for, so allowed."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model(BACKBONE, pretrained=False).train()
        with torch.no_grad():
            for _ in range(30):  # batch-norm statistics of noise, so that signals neither vanish nor explode
                network(torch.randn(8, 3, 160, 160))
        save_file(network.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def labeled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("labeled")
    with (root / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "mos"])
        for number in range(LABELED):
            blur = (number % 6) * 0.8
            write_photo(root / f"deep/{number:02}.png", texture(number, blur))
            table.writerow([f"deep/{number:02}.png", 80 - 12 * (number % 6) + number / 100])
    return root


@pytest.fixture(scope="session")
def unlabeled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("unlabeled")
    for number in range(UNLABELED):
        write_photo(root / f"{number:02}.png", texture(100 + number, number * 0.4, size=(170, 260)))
    return root


@pytest.fixture(scope="session")
def settings(weights: Path) -> dict[str, Any]:
    """Settings of a run that takes seconds."""
    from ssiqa.config import Schedule

    return {
        "backbone": BACKBONE,
        "weights": weights,
        "blocks": 2,
        "replay_every": 4,
        "weak_crops": 2,
        "grid": 2,
        "short_side": 176,
        "teacher": Schedule(epochs=2, lr=1e-3, decay_every=2, batch_size=8),
        "student": Schedule(epochs=1, lr=1e-3, decay_every=1, batch_size=8),
    }


@pytest.fixture(scope="session")
def adaptation(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> ssiqa.Adaptation:
    return ssiqa.adapt(labeled, unlabeled, tmp_path_factory.mktemp("run"), **settings)
