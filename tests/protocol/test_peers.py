"""Peers that are not trained: NIQE and IL-NIQE by their parts and on real photographs, and what is kept of any."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pipeline.conftest import texture, write_photo
from scipy.ndimage import correlate
from scipy.special import gamma
from scipy.stats import gennorm, spearmanr, weibull_min

from ssiqa.data import read_image
from ssiqa.errors import DataError
from ssiqa.protocol.database import Database
from ssiqa.protocol.ilniqe import TEMPLATE, IlNiqe, likeliest_weibull
from ssiqa.protocol.niqe import PARAMETERS, Niqe, asymmetric_gaussians
from ssiqa.protocol.peers import Peer, open_peers, score_database


@pytest.fixture(scope="module")
def window() -> np.ndarray:
    line = np.exp(-0.5 * (np.arange(-3, 4) / (7 / 6)) ** 2)
    return np.outer(line, line) / line.sum() ** 2


@pytest.fixture(scope="module")
def peers(shared_data: Path) -> Path:
    folder = shared_data.parent / "peers"
    for name in (PARAMETERS, TEMPLATE):
        if not (folder / name).is_file():
            pytest.skip(f"no {name} in {folder}")
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


def by_the_authors_release(image: np.ndarray, window: np.ndarray) -> np.ndarray:
    """What their MATLAB computes of an image, step by step: ``(blocks, 36)``."""
    grey = np.floor(image @ [0.298936021293775, 0.587043074451121, 0.114020904255103] + 0.5)
    grey = grey[: len(grey) // 96 * 96, : grey.shape[1] // 96 * 96]
    found = []
    for side in (96, 48):
        mean, power = (correlate(of, window, mode="nearest") for of in (grey, grey**2))
        values = (grey - mean) / (np.sqrt(np.abs(power - mean**2)) + 1)
        rows, columns = (range(0, length, side) for length in values.shape)
        found.append([block_features(values[i : i + side, j : j + side]) for i in rows for j in columns])
        grey = halved_by_matlab(halved_by_matlab(grey).T).T
    return np.hstack(found)


def halved_by_matlab(values: np.ndarray) -> np.ndarray:
    """Rows at ``imresize(values, 0.5)``: Keys' cubic, twice as wide, over a mirrored column."""
    centres = 2 * np.arange(len(values) // 2) + 0.5
    rows = np.floor(centres)[:, None] + np.arange(-4, 6)
    apart = np.abs(centres[:, None] - rows) / 2
    near, far = 1.5 * apart**3 - 2.5 * apart**2 + 1, -0.5 * apart**3 + 2.5 * apart**2 - 4 * apart + 2
    weights = np.where(apart <= 1, near, np.where(apart <= 2, far, 0))
    mirror = np.r_[np.arange(len(values)), np.arange(len(values))[::-1]]
    weights /= weights.sum(1, keepdims=True)
    return np.einsum("or,orc->oc", weights, values[mirror[np.mod(rows.astype(int), len(mirror))]])


def block_features(block: np.ndarray) -> list[float]:
    shape, left, right = fitted_by_grid(block)
    found = [shape, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (-1, 1)):
        shape, left, right = fitted_by_grid(block * np.roll(block, shift, (0, 1)))
        found += [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]
    return found


def fitted_by_grid(values: np.ndarray) -> tuple[float, float, float]:
    shapes = np.arange(0.2, 10.001, 0.001)
    left, right = (np.sqrt((values[side] ** 2).mean()) for side in (values < 0, values > 0))
    skew, ratio = left / right, np.abs(values).mean() ** 2 / (values**2).mean()
    ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    nearest = np.abs(gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes)) - ratio).argmin()
    scale = np.sqrt(gamma(1 / shapes[nearest]) / gamma(3 / shapes[nearest]))
    return shapes[nearest], left * scale, right * scale


def test_features_are_those_of_the_authors_release(window: np.ndarray) -> None:
    """To the step of 0.001 at which it looks for shapes; colours, and borders brighter than what lies within."""
    image = picture(2, blur=0.5)
    image[:3] = image[:, -3:] = 255
    niqe = Niqe(np.zeros(36), np.eye(36), window)
    expected = by_the_authors_release(image, window)
    assert np.abs(niqe.features(image) - expected).max() < 2e-3
    spread = (np.cov(expected, rowvar=False) + np.eye(36)) / 2
    distance = expected.mean(0) @ np.linalg.inv(spread) @ expected.mean(0)
    assert niqe.score(image) == pytest.approx(np.sqrt(distance), rel=1e-3)


@pytest.mark.parametrize("shape", [0.7, 1.0, 2.0])
def test_widths_and_shape_are_found(shape: float) -> None:
    """Of values whose right half is twice as wide as the left, and twice as likely."""
    rng = np.random.default_rng(0)
    size = gennorm.rvs(shape, size=(1, 400, 400), random_state=rng)
    values = np.where(rng.random(size.shape) < 2 / 3, 2 * np.abs(size), -np.abs(size))
    found = [float(figure[0]) for figure in asymmetric_gaussians(values)]
    assert found == pytest.approx([shape, 1, 2, values.mean()], rel=0.03)


@pytest.mark.parametrize(("scale", "shape"), [(3.0, 0.6), (0.2, 1.0), (40.0, 4.0)])
def test_scale_and_shape_of_weibull_values_are_found(scale: float, shape: float) -> None:
    values = weibull_min.rvs(shape, scale=scale, size=(2, 200, 200), random_state=0)
    assert likeliest_weibull(values) == pytest.approx(np.array([[scale, shape]] * 2), rel=0.03)
    fitted_shape, _, fitted_scale = weibull_min.fit(values[0].ravel(), floc=0)
    assert likeliest_weibull(values)[0] == pytest.approx([fitted_scale, fitted_shape], rel=1e-3)


def test_images_without_statistics_are_named(window: np.ndarray) -> None:
    niqe = Niqe(np.zeros(36), np.eye(36), window)
    for image in (picture(0)[:100, :150], picture(0)[:90], np.full((300, 400, 3), 7, np.uint8)):
        with pytest.raises(DataError, match=f"{image.shape[1]} by {image.shape[0]} pixels has too few blocks"):
            niqe.score(image)


@pytest.mark.parametrize("content", [b"no archive", b"", b"PK\x03\x04torn"])
def test_damaged_parameters_are_named(content: bytes, tmp_path: Path) -> None:
    for name in (PARAMETERS, TEMPLATE):
        (tmp_path / name).write_bytes(content)
    _, missing = open_peers(tmp_path)
    assert missing["NIQE"] == f"{tmp_path / PARAMETERS} is missing or holds no parameters of NIQE."
    assert missing["ILNIQE"] == f"{tmp_path / TEMPLATE} is missing or holds no model of IL-NIQE."


@pytest.mark.parametrize(("name", "pristine"), [("NIQE", 5), ("ILNIQE", 25)])
def test_worse_pictures_are_farther_from_pristine_ones(
    name: str, pristine: float, peers: Path, shared_data: Path
) -> None:
    score = open_peers(peers)[0][name].score
    photo = read_image(sorted((shared_data / "kodak").glob("*.png"))[4])
    noise = np.random.default_rng(0).normal(0, 25, photo.shape)
    worse = (cv2.GaussianBlur(photo, (0, 0), 3), (photo + noise).clip(0, 255).astype(np.uint8))
    assert score(photo) < pristine
    assert all(score(image) > 1.3 * score(photo) for image in worse)


def test_the_order_of_features_is_that_of_the_authors_model(peers: Path, shared_data: Path) -> None:
    """468 figures from hundredths to hundreds: those of any sharp photo go up and down with the model's."""
    model = IlNiqe.load(peers / TEMPLATE)
    features = model.features(read_image(sorted((shared_data / "kodak").glob("*.png"))[4]))
    assert features.shape == (36, 468)
    found, expected = (np.log(np.maximum(figures, 1e-2)) for figures in (features.mean(0), model.centre))
    assert np.corrcoef(found, expected)[0, 1] > 0.95
    shuffled = np.random.default_rng(0).permutation(468)
    assert np.corrcoef(found[shuffled], expected)[0, 1] < 0.5


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
    assert f"it needs {TEMPLATE} in --peers-dir" in missing["ILNIQE"]
    for name in {"BRISQUE", "PIQE"} & missing.keys():
        assert "pip install 'ssiqa[peers]'" in missing[name]


@pytest.mark.parametrize("name", ["BRISQUE", "PIQE"])
def test_packages_score_a_picture(name: str) -> None:
    found, missing = open_peers(None)
    if name not in found:
        pytest.skip(missing[name])
    assert np.isfinite(found[name].score(picture(0)))


@pytest.mark.parametrize("name", ["BRISQUE", "PIQE"])
def test_packages_rank_blur_as_worse(name: str, shared_data: Path) -> None:
    found, missing = open_peers(None)
    if name not in found:
        pytest.skip(missing[name])
    photo = read_image(sorted((shared_data / "kodak").glob("*.png"))[4])
    assert found[name].score(cv2.GaussianBlur(photo, (0, 0), 3)) > found[name].score(photo) + 10


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
    peer = Peer(darkness, "1.0")
    assert score_database("Darkness", peer, some, tmp_path / "kept").tolist() == [-10, -30]
    assert score_database("Darkness", peer, database, tmp_path / "kept").tolist() == [-10, -20, -30]
    assert sorted(asked) == [10, 20, 30]
    kept = json.loads((tmp_path / "kept/few/Darkness 1.0.json").read_text())
    assert {image: score for image, (_, score) in kept.items()} == {"a.png": 10, "b.png": 20, "c.png": 30}
    write_photo(tmp_path / "images/b.png", np.full((9, 9, 3), 50, np.uint8))
    assert score_database("Darkness", peer, database, tmp_path / "kept").tolist() == [-10, -50, -30]
    other = Peer(lambda image: 1.0, "2.0")
    assert score_database("Darkness", other, database, tmp_path / "kept").tolist() == [-1, -1, -1]
    with pytest.raises(DataError, match=r"Nothing has no score for .*a\.png"):
        score_database("Nothing", Peer(lambda image: np.nan, "1.0"), database, tmp_path / "kept")

    def broken(image: np.ndarray) -> float:
        raise ZeroDivisionError("it is flat.\nOr not.")

    with pytest.raises(DataError, match=r"Broken fails on .*a\.png: it is flat\.$"):
        score_database("Broken", Peer(broken, "1.0"), database, tmp_path / "kept")
