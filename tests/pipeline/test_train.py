from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ssiqa import train
from ssiqa.config import Schedule, make_config
from ssiqa.errors import SsiqaError
from ssiqa.features import observe
from ssiqa.models import build_model
from ssiqa.photos import Photos
from ssiqa.preprocess import Preprocess
from ssiqa.progress import Task

from .conftest import BACKBONE


def test_schedule_of_the_paper() -> None:
    """Phase 0: 3 epochs of warm-up to 2e-4, then a tenth every 3 epochs. Later phases: 2e-5, a tenth every 2."""
    paper = make_config("paper")
    rates = [paper.teacher.rate(epoch, 1.0) for epoch in range(paper.teacher.epochs)]
    assert rates == pytest.approx([2e-4 / 3, 4e-4 / 3, 2e-4, 2e-4, 2e-4, 2e-4, 2e-5, 2e-5, 2e-5])
    rates = [paper.student.rate(epoch, 1.0) for epoch in range(paper.student.epochs)]
    assert rates == pytest.approx([2e-5, 2e-5, 2e-6, 2e-6, 2e-7, 2e-7])


def test_training_learns_what_it_is_given(weights: Path, labeled: Path) -> None:
    paths = sorted(labeled.glob("deep/*.png"))
    targets = np.linspace(-1, 1, len(paths))
    model = build_model(BACKBONE, weights)
    photos = Photos(Preprocess.for_backbone(model.backbone, 176, 2))
    schedule = Schedule(epochs=8, lr=3e-3, decay_every=8, batch_size=8)
    with Task("test", 1) as task:
        losses = train.fit(model, photos, paths, targets, schedule, seed=0, phase=0, task=task)
    assert len(losses) == 8
    assert losses[-1] < 0.7 * losses[0]


def test_probed_head_is_the_ridge_regression(weights: Path) -> None:
    model = build_model(BACKBONE, weights)
    features = np.random.default_rng(0).normal(5, 3, (200, model.feature_dim)).astype(np.float32)
    targets = features[:, :3].sum(1) / 10
    train.probe_head(model, features, targets.astype(np.float64))
    predicted = model.head(torch.from_numpy(features)).squeeze(-1).detach().numpy()
    assert np.corrcoef(predicted, targets)[0, 1] > 0.99
    assert predicted.mean() == pytest.approx(targets.mean(), abs=1e-3)


def test_divergence_is_named(weights: Path, labeled: Path) -> None:
    paths = sorted(labeled.glob("deep/*.png"))[:8]
    model = build_model(BACKBONE, weights)
    photos = Photos(Preprocess.for_backbone(model.backbone, 176, 2))
    schedule = Schedule(epochs=1, lr=1e-3, decay_every=1, batch_size=8)
    with Task("test", 1) as task, pytest.raises(SsiqaError, match="Phase 0 diverged; lower the learning rate"):
        train.fit(model, photos, paths, np.full(8, np.inf), schedule, seed=0, phase=0, task=task)


def test_views_are_means_over_seeded_crops(weights: Path, labeled: Path) -> None:
    paths = sorted(labeled.glob("deep/*.png"))[:11]
    model = build_model(BACKBONE, weights)
    photos = Photos(Preprocess.for_backbone(model.backbone, 176, 2))

    def look(part: list[Path], key: int) -> np.ndarray:
        with Task("test", 1) as task:
            return observe(model, photos, part, crops=2, seed=0, key=(key,), task=task).features

    views = look(paths, 0)
    assert views.shape == (11, model.feature_dim)
    assert np.array_equal(views, look(paths, 0))
    assert np.allclose(views[:3], look(paths[:3], 0), atol=1e-5)
    assert not np.allclose(views, look(paths, 1), atol=1e-5)
