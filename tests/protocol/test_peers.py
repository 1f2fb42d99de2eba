"""Peers that are not trained: NIQE from its parts and on real photographs, and what is kept of any of them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pipeline.conftest import texture, write_photo
from scipy.stats import gennorm, spearmanr

from ssiqa.data import read_image
from ssiqa.errors import DataError
from ssiqa.protocol.database import Database
from ssiqa.protocol.niqe import PARAMETERS, Niqe, asymmetric_gaussians
from ssiqa.protocol.peers import open_peers, score_database


@pytest.fixture(scope="module")
def window() -> np.ndarray:
    line = np.exp(-0.5 * (np.arange(-3, 4) / (7 / 6)) ** 2)
    return np.outer(line, line) / line.sum() ** 2


@pytest.fixture(scope="module")
def peers(shared_data: Path) -> Path:
    folder = shared_data.parent / "peers"
    if not (folder / PARAMETERS).is_file():
        pytest.skip(f"no {PARAMETERS} in {folder}")
    return folder


def picture(seed: int, blur: float = 1.0) -> np.ndarray:
    return texture(seed, blur, size=(300, 400)) // 2 + 40


def test_distance_from_itself_is_nothing(window: np.ndarray) -> None:
    features = Niqe(np.zeros(36), np.eye(36), window).features(picture(0))
    assert features.shape == (3 * 4, 36)
    itself = Niqe(features.mean(0), np.cov(features, rowvar=False), window)
    assert itself.score(picture(0)) == pytest.approx(0, abs=1e-6)
    assert itself.score(picture(1, blur=3.0)) > 1


def test_local_statistics_know_no_brightness(window: np.ndarray) -> None:
    niqe = Niqe(np.zeros(36), np.eye(36), window)
    grey = np.repeat(np.random.default_rng(0).integers(40, 180, (200, 300, 1), np.uint8), 3, 2)
    assert niqe.features(grey + 50) == pytest.approx(niqe.features(grey), abs=1e-5)


@pytest.mark.parametrize("shape", [0.7, 1.0, 2.0])
def test_widths_and_shape_are_found(shape: float) -> None:
    """Of values whose right half is twice as wide as the left, and twice as likely."""
    rng = np.random.default_rng(0)
    size = gennorm.rvs(shape, size=(1, 400, 400), random_state=rng)
    values = np.where(rng.random(size.shape) < 2 / 3, 2 * np.abs(size), -np.abs(size))
    found = [float(figure[0]) for figure in asymmetric_gaussians(values)]
    assert found == pytest.approx([shape, 1, 2, values.mean()], rel=0.03)


def test_images_without_statistics_are_named(window: np.ndarray) -> None:
    niqe = Niqe(np.zeros(36), np.eye(36), window)
    for image in (picture(0)[:100, :150], np.full((300, 400, 3), 7, np.uint8)):
        with pytest.raises(DataError, match=f"{image.shape[1]} by {image.shape[0]} pixels has too few blocks"):
            niqe.score(image)


def test_damaged_parameters_are_named(tmp_path: Path) -> None:
    (tmp_path / PARAMETERS).write_bytes(b"no archive")
    with pytest.raises(DataError, match="holds no parameters of NIQE"):
        Niqe.load(tmp_path / PARAMETERS)


def test_worse_pictures_are_farther_from_pristine_ones(peers: Path, shared_data: Path) -> None:
    niqe = Niqe.load(peers / PARAMETERS)
    photo = read_image(sorted((shared_data / "kodak").glob("*.png"))[4])
    noise = np.random.default_rng(0).normal(0, 25, photo.shape)
    worse = (cv2.GaussianBlur(photo, (0, 0), 3), (photo + noise).clip(0, 255).astype(np.uint8))
    assert all(niqe.score(image) > niqe.score(photo) + 1 for image in worse)
    assert niqe.score(photo) < 5


def test_underwater_photos_are_ranked(peers: Path, shared_data: Path) -> None:
    niqe = Niqe.load(peers / PARAMETERS)
    with (shared_data / "pcuid/oracle.csv").open() as file:
        rows = list(csv.DictReader(file))[::6]
    scores = [niqe.score(read_image(shared_data / "pcuid/unlabeled" / row["image"])) for row in rows]
    assert spearmanr(scores, [float(row["mos"]) for row in rows]).statistic < -0.5


def test_what_cannot_be_had_says_why(tmp_path: Path) -> None:
    found, missing = open_peers(tmp_path)
    assert not found.keys() & missing.keys()
    assert found.keys() | missing.keys() == {"NIQE", "ILNIQE", "BRISQUE", "PIQE"}
    assert f"it needs {PARAMETERS} in --peers-dir" in missing["NIQE"]
    for name in {"BRISQUE", "PIQE"} & missing.keys():
        assert "pip install 'ssiqa[peers]'" in missing[name]


@pytest.mark.parametrize("name", ["BRISQUE", "PIQE"])
def test_packages_rank_blur_as_worse(name: str, shared_data: Path) -> None:
    found, missing = open_peers(None)
    if name not in found:
        pytest.skip(missing[name])
    photo = read_image(sorted((shared_data / "kodak").glob("*.png"))[4])
    assert found[name](cv2.GaussianBlur(photo, (0, 0), 3)) > found[name](photo) + 10


def test_scores_are_kept_by_image(tmp_path: Path) -> None:
    names = ("a.png", "b.png", "c.png")
    for number, name in enumerate(names):
        write_photo(tmp_path / "images" / name, np.full((8, 8, 3), 10 * (number + 1), np.uint8))
    labels = np.zeros(3)
    database = Database("few", tmp_path / "images", names, labels, "mos", names, names)
    asked: list[float] = []

    def darkness(image: np.ndarray) -> float:
        asked.append(float(image.mean()))
        return asked[-1]

    some = database.take(np.array([0, 2]))
    assert score_database("Darkness", darkness, some, tmp_path / "kept").tolist() == [-10, -30]
    assert score_database("Darkness", darkness, database, tmp_path / "kept").tolist() == [-10, -20, -30]
    assert sorted(asked) == [10, 20, 30]
    assert json.loads((tmp_path / "kept/few/Darkness.json").read_text()) == {"a.png": 10, "b.png": 20, "c.png": 30}
    with pytest.raises(DataError, match=r"Nothing has no score for .*a\.png"):
        score_database("Nothing", lambda image: np.nan, database, tmp_path / "kept")
