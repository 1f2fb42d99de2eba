from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import ssiqa
from ssiqa.errors import DataError
from ssiqa.torchscript import torchscript

from .conftest import texture, write_photo


def test_score_does_not_depend_on_company_or_order(adaptation: ssiqa.Adaptation) -> None:
    images = [texture(seed, 0.5 * seed, size=(120 + 30 * seed, 150)) for seed in range(5)]
    scorer = adaptation.student
    alone = [scorer.score(image) for image in images]
    assert scorer.score(images).tolist() == alone
    assert scorer.score(images[::-1]).tolist() == alone[::-1]


def test_path_and_array_agree(adaptation: ssiqa.Adaptation, tmp_path: Path) -> None:
    image = texture(7, 1.0)
    write_photo(tmp_path / "photo.png", image)
    scores = adaptation.student.score([tmp_path / "photo.png", str(tmp_path / "photo.png"), image])
    assert scores.dtype == np.float64
    assert len(set(scores.tolist())) == 1
    assert isinstance(adaptation.student.score(image), float)
    assert adaptation.student.score([]).shape == (0,)


def test_intervals_surround_their_scores(adaptation: ssiqa.Adaptation, labeled: Path) -> None:
    """Of one image and of many, the scores being those without intervals; as wide where an image is new, or wider."""
    photos = sorted(labeled.glob("deep/*.png"))
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    scores, ends = adaptation.student.score([*photos, noise], return_interval=True)
    assert np.array_equal(scores, adaptation.student.score([*photos, noise]))
    assert ends.shape == (len(photos) + 1, 2)
    margins = ends[:, 1] - scores
    assert np.allclose(margins, scores - ends[:, 0]) or np.isinf(margins).all()
    score, pair = adaptation.student.score(noise, return_interval=True)
    assert (score, pair.tolist()) == (scores[-1], ends[-1].tolist())
    empty, none = adaptation.student.score([], return_interval=True)
    assert (empty.shape, none.shape) == ((0,), (0, 2))


def test_upright_and_rotated_by_exif_agree(adaptation: ssiqa.Adaptation, tmp_path: Path) -> None:
    """EXIF orientation 6 (turn by 90 degrees) gives the score of the photo as a viewer shows it."""
    image = texture(8, 1.0)
    ok, jpeg = cv2.imencode(".jpg", np.rot90(image)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])
    assert ok
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    data = jpeg.tobytes()
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    (tmp_path / "turned.jpg").write_bytes(data[:2] + segment + data[2:])
    upright = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1]
    expected = adaptation.student.score(np.ascontiguousarray(np.rot90(upright, -1)))
    assert adaptation.student.score(tmp_path / "turned.jpg") == expected


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(adaptation: ssiqa.Adaptation, array: np.ndarray) -> None:
    with pytest.raises(ssiqa.SsiqaError, match="uint8 RGB"):
        adaptation.student.score(array)


@pytest.mark.parametrize("image", [Image.new("RGB", (40, 40)), None, 3, b"x", torch.zeros(40, 40, 3)])
def test_what_is_no_image_is_refused_alone_and_among_others(adaptation: ssiqa.Adaptation, image: Any) -> None:
    for images in (image, [texture(0, 0), image]):
        with pytest.raises(
            DataError, match=r"must be a path or an RGB uint8 array, .*np\.asarray\(image\.convert\('RGB'"
        ):
            adaptation.student.score(images)


def odd_tiff() -> bytes:
    """16 by 16 grey pixels with a tag that OpenCV does not know, which it says on stderr."""
    tags = {256: 16, 257: 16, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 16, 279: 256, 65000: 7}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 8 + 256) + bytes(256) + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_opencv_says_nothing_while_photos_are_scored(
    adaptation: ssiqa.Adaptation, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "odd.tif").write_bytes(odd_tiff())
    level = cv2.utils.logging.getLogLevel()
    adaptation.student.score(tmp_path / "odd.tif")
    assert capfd.readouterr().err == ""
    assert cv2.utils.logging.getLogLevel() == level
    cv2.imdecode(np.frombuffer(odd_tiff(), np.uint8), cv2.IMREAD_COLOR)
    assert "WARN" in capfd.readouterr().err


def test_opencv_stays_quiet_until_all_are_done(adaptation: ssiqa.Adaptation) -> None:
    """Two at a time, the first to begin being the first to end."""
    level, silent = cv2.utils.logging.getLogLevel(), cv2.utils.logging.LOG_LEVEL_SILENT
    first, second = (adaptation.student.judge_each([texture(0, 0)]) for _ in range(2))
    next(first), next(second)
    first.close()
    assert cv2.utils.logging.getLogLevel() == silent != level
    second.close()
    assert cv2.utils.logging.getLogLevel() == level


def test_unreadable_photo_is_named(adaptation: ssiqa.Adaptation, tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ssiqa.SsiqaError, match=r"empty\.jpg"):
        adaptation.student.score(tmp_path / "empty.jpg")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ssiqa.SsiqaError, match="No scorer at"):
        ssiqa.load(tmp_path / "missing.pt")
    with pytest.raises(ssiqa.SsiqaError, match=r"holds no student\.pt; give the folder of a finished run"):
        ssiqa.load(tmp_path)
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(ssiqa.SsiqaError, match="not a TorchScript file"):
        ssiqa.load(tmp_path / "text.pt")
    with torchscript():
        torch.jit.save(torch.jit.trace(torch.nn.ReLU(), torch.zeros(1)), tmp_path / "relu.pt")
    with pytest.raises(ssiqa.SsiqaError, match="no model card"):
        ssiqa.load(tmp_path / "relu.pt")
