from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssiqa.preprocess import Preprocess

HALF = (0.5, 0.5, 0.5)


def make(short_side: int = 64, crop: int = 32, grid: int = 3, whole: bool = False) -> Preprocess:
    return Preprocess(short_side, crop, grid, HALF, HALF, whole)


@given(st.integers(1, 300), st.integers(1, 300))
def test_working_size(height: int, width: int) -> None:
    working = make().working_images(torch.zeros(1, height, width, 3, dtype=torch.uint8))
    shape = working.shape[2:]
    assert min(shape) == 64
    expected = min(64 * max(height, width) / min(height, width), 4 * 64)
    assert abs(max(shape) - expected) <= 0.5


def test_size_that_fits_is_left_alone() -> None:
    images = torch.randint(0, 256, (2, 64, 80, 3), dtype=torch.uint8)
    assert torch.equal(make().working_images(images), images.permute(0, 3, 1, 2).float())


def test_shrinking_is_antialiased() -> None:
    """A one-pixel checkerboard averages to grey instead of aliasing to black or white."""
    board = ((torch.arange(640)[:, None] + torch.arange(640)) % 2 * 255).to(torch.uint8)
    working = make().working_images(board[None, :, :, None].expand(-1, -1, -1, 3))
    assert (working - 127.5).abs().max() < 5


def test_grid_reaches_all_borders_evenly() -> None:
    working = torch.arange(64 * 96).float().view(1, 1, 64, 96).expand(1, 3, -1, -1)
    rows = make().grid_rows(working)
    assert [row.shape for row in rows] == [(3, 3, 32, 32)] * 3
    corners = [(int(crop[0, 0, 0]) // 96, int(crop[0, 0, 0]) % 96) for row in rows for crop in row]
    assert corners == [(top, left) for top in (0, 16, 32) for left in (0, 32, 64)]


@given(st.integers(64, 256), st.booleans())
def test_as_few_crops_as_cover_a_photo(longer: int, upright: bool) -> None:
    """No crop more than it takes, and nothing between them; at the far border less than a pixel a crop is left."""
    height, width = (longer, 64) if upright else (64, longer)
    preprocess = make(grid=0)
    places = preprocess.places(height, width)
    working = torch.arange(height * width).float().view(1, 1, height, width).expand(2, 3, -1, -1)
    (crops,) = preprocess.grid_rows(working)
    assert torch.equal(crops, torch.cat([working[..., top : top + 32, left : left + 32] for top, left in places]))
    for side, offsets in ((height, {top for top, _ in places}), (width, {left for _, left in places})):
        ordered = sorted(offsets)
        assert ordered[0] == 0
        assert all(after - before <= 32 for before, after in pairwise(ordered))
        assert side - len(ordered) < ordered[-1] + 32 <= side
        assert len(ordered) == -(-side // 32)


def test_a_photo_that_is_seen_whole_is_not_cut() -> None:
    working = torch.randn(2, 3, 64, 101)
    (whole,) = make(grid=0, whole=True).grid_rows(working)
    assert torch.equal(whole, working)


def test_single_crop_is_central() -> None:
    working = torch.arange(64 * 64).float().view(1, 1, 64, 64).expand(1, 3, -1, -1)
    assert int(make(grid=1).grid_rows(working)[0][0, 0, 0, 0]) == 16 * 64 + 16


def test_normalisation_per_channel() -> None:
    preprocess = Preprocess(8, 8, 1, (0.1, 0.5, 0.9), (0.5, 0.25, 1.0))
    out = preprocess.normalize(torch.full((1, 3, 8, 8), 127.5))
    assert out[0, :, 0, 0].tolist() == pytest.approx([0.8, 0.0, -0.4])
