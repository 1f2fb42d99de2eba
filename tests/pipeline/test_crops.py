"""Native crops against torch's arithmetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssiqa import _core
from ssiqa.crops import scoring_crops, strong_crop, weak_crops
from ssiqa.preprocess import Preprocess

IMAGENET = Preprocess(40, 32, 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(st.integers(1, 40), st.integers(1, 60), st.data())
def test_crops_are_those_of_torch_to_the_last_bit(height: int, width: int, data: st.DataObject) -> None:
    image = picture(height, width)
    side = data.draw(st.integers(1, min(height, width)))
    tops = st.integers(0, height - side)
    lefts = st.integers(0, width - side)
    places = data.draw(st.lists(st.tuples(tops, lefts, st.booleans()), min_size=1, max_size=5))
    out = np.full((len(places), side, side, 3), np.nan, np.float32)
    _core.normalized_crops(image, [_core.Place(*place) for place in places], out, IMAGENET.mean, IMAGENET.std)
    for found, (top, left, mirrored) in zip(out, places, strict=True):
        crop = torch.from_numpy(image[top : top + side, left : left + side]).permute(2, 0, 1).float()
        expected = IMAGENET.normalize((crop.flip(2) if mirrored else crop)[None])[0]
        assert np.array_equal(found, expected.permute(1, 2, 0).numpy())


def test_read_only_memory() -> None:
    image = picture(40, 50)
    image.flags.writeable = False
    assert torch.equal(weak(image, 1), weak(image.copy(), 1))


def weak(image: np.ndarray, seed: int) -> torch.Tensor:
    return weak_crops(image, 4, IMAGENET, np.random.default_rng(seed))


@pytest.mark.parametrize("preprocess", [IMAGENET, replace(IMAGENET, grid=0), replace(IMAGENET, grid=0, whole=True)])
def test_crops_of_scoring_are_those_of_the_exported_file(preprocess: Preprocess) -> None:
    image = picture(40, 75)
    rows = preprocess.grid_rows(torch.from_numpy(image).permute(2, 0, 1)[None].float())
    assert torch.equal(scoring_crops(image, preprocess), preprocess.normalize(torch.cat(rows)))


def test_crops_are_random_by_the_generator_alone() -> None:
    image = picture(60, 50)
    assert torch.equal(weak(image, 1), weak(image, 1))
    assert not torch.equal(weak(image, 1), weak(image, 2))
    crops = weak(image, 3)
    assert crops.shape == (4, 3, 32, 32)
    assert crops.is_contiguous(memory_format=torch.channels_last)
    assert not torch.equal(crops[0], crops[1])


def test_strong_crops_reach_everywhere_and_are_mirrored_half_the_time() -> None:
    image = np.zeros((40, 50, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(40)[:, None], np.arange(50)  # each pixel tells its place
    preprocess = Preprocess(40, 32, 1, (0, 0, 0), (1 / 255,) * 3)
    rng = np.random.default_rng(0)
    seen = [strong_crop(image, preprocess, rng)[0].numpy().round() for _ in range(500)]
    assert {int(crop[0, 0, 0]) for crop in seen} == set(range(9))
    assert {int(min(crop[1, 0, 0], crop[1, 0, -1])) for crop in seen} == set(range(19))
    mirrored = sum(crop[1, 0, 0] > crop[1, 0, -1] for crop in seen)
    assert 200 < mirrored < 300


@pytest.mark.parametrize(
    ("photo", "place", "shape", "message"),
    [
        (picture(40, 40), (9, 0), (1, 32, 32, 3), "outside"),
        (picture(40, 40), (0, 9), (1, 32, 32, 3), "outside"),
        (picture(20, 40), (0, 0), (1, 32, 32, 3), "outside"),
        (picture(40, 40), (0, 0), (2, 32, 32, 3), "wrong shape"),
        (picture(40, 40), (0, 0), (1, 32, 31, 3), "wrong shape"),
        (picture(40, 40), (0, 0), (32, 32, 3), "four axes"),
        (picture(40, 40)[..., :2].copy(), (0, 0), (1, 32, 32, 3), "height, width, 3"),
        (picture(40, 80)[:, ::2], (0, 0), (1, 32, 32, 3), "contiguous"),
    ],
)
def test_bad_arguments_write_nothing(
    photo: np.ndarray, place: tuple[int, int], shape: tuple[int, ...], message: str
) -> None:
    out = np.full(shape, 7, np.float32)
    with pytest.raises(ValueError, match=message):
        _core.normalized_crops(photo, [_core.Place(*place, False)], out, IMAGENET.mean, IMAGENET.std)
    assert (out == 7).all()


def test_other_types_are_refused() -> None:
    out = np.empty((1, 32, 32, 3), np.float32)
    for photo in (picture(40, 40).astype(np.float32), picture(40, 40).astype(np.int8)):
        with pytest.raises(TypeError, match="photo must have dtype"):
            _core.normalized_crops(photo, [_core.Place(0, 0, False)], out, IMAGENET.mean, IMAGENET.std)
