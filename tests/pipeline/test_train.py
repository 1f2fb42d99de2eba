from __future__ import annotations

import copy
import csv
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import ssiqa
from ssiqa import distill, train
from ssiqa.cache import Cache
from ssiqa.config import Schedule, make_config
from ssiqa.crops import strong_crop, weak_crops
from ssiqa.data import Photo
from ssiqa.errors import SsiqaError
from ssiqa.features import Look, Observer, predictions
from ssiqa.krr import KernelRidge
from ssiqa.lanes import Lanes
from ssiqa.models import QualityModel, build_model
from ssiqa.network import Network
from ssiqa.photos import Photos
from ssiqa.preprocess import Preprocess
from ssiqa.profile import Profile
from ssiqa.progress import Task
from ssiqa.reader import Reader
from ssiqa.seeding import generator

from .conftest import BACKBONE, UNLABELED


def test_schedule_of_the_paper() -> None:
    """Phase 0: 3 epochs of warm-up to 2e-4, then a tenth every 3 epochs. Later phases: 2e-5, a tenth every 2."""
    paper = make_config("paper")
    rates = [paper.teacher.rate(epoch, 1.0) for epoch in range(paper.teacher.epochs)]
    assert rates == pytest.approx([2e-4 / 3, 4e-4 / 3, 2e-4, 2e-4, 2e-4, 2e-4, 2e-5, 2e-5, 2e-5])
    rates = [paper.student.rate(epoch, 1.0) for epoch in range(paper.student.epochs)]
    assert rates == pytest.approx([2e-5, 2e-5, 2e-6, 2e-6, 2e-7, 2e-7])


@pytest.fixture
def examples(labeled: Path) -> list[Photo]:
    paths = sorted(labeled.glob("deep/*.png"))
    return [Photo(path, hashlib.sha256(path.read_bytes()).digest()) for path in paths]


def build(
    weights: Path, cache: Path, precision: str = "float32", frozen: float = 1 / 3, backbone: str = BACKBONE
) -> tuple[Network, Photos]:
    model = build_model(backbone, weights)
    model.freeze_first_layers(frozen)
    preprocess = Preprocess.for_backbone(model.backbone, 176, 2)
    network = Network(model, backbone, preprocess.crop, torch.device("cpu"), precision)
    return network, Photos(preprocess, Cache(cache, 1 << 30), Profile())


def train_on(
    network: Network, photos: Photos, examples: list[Photo], targets: np.ndarray, **schedule: float
) -> list[float]:
    plan = Schedule(**{"epochs": 1, "lr": 1e-3, "decay_every": 8, "batch_size": 8, **schedule})  # type: ignore[arg-type]
    with Task("test", 1) as task:
        return train.fit(network, photos, examples, targets, plan, seed=0, phase=0, task=task)


def look(network: Network, photos: Photos, examples: list[Photo], seed: int = 0, again: bool = False) -> Look:
    with Task("test", 1) as task, Lanes() as lanes:
        return Look.join(list(Observer(network, photos, 2, seed, task, lanes).look(examples, again=again)))


def test_training_learns_what_it_is_given(weights: Path, examples: list[Photo], tmp_path: Path) -> None:
    network, photos = build(weights, tmp_path, frozen=0)
    losses = train_on(network, photos, examples, np.linspace(-1, 1, len(examples)), epochs=8, lr=3e-3)
    assert len(losses) == 8
    assert losses[-1] < 0.7 * losses[0]


@pytest.fixture(scope="session")
def unlike(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a network whose gradients lie in memory otherwise than its parameters."""
    path = tmp_path_factory.mktemp("unlike") / "nfnet.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model("test_nfnet", pretrained=False)
    state = {name: tensor + 0.5 * name.endswith("conv3.gain") for name, tensor in network.state_dict().items()}
    save_file(state, path)  # gains are 0 at first, and then so is what they scale
    return path


@pytest.mark.parametrize(
    ("backbone", "schedule"),
    [(BACKBONE, {}), ("test_nfnet", {}), (BACKBONE, {"crops": 3, "weight_decay": 40.0})],
    ids=["lanes", "unlike", "authors"],
)
def test_a_step_is_that_of_the_whole_batch(
    weights: Path, unlike: Path, examples: list[Photo], tmp_path: Path, backbone: str, schedule: dict[str, Any]
) -> None:
    """Parts, lanes, halves and the native crops together: one step of plain torch on the same crops moves as far."""
    n, crops_each, decay = len(examples), schedule.get("crops", 1), schedule.get("weight_decay", 0.0)
    targets = np.linspace(-1, 2, len(examples))  # with a sum, so that no gradient is 0 but for rounding
    start = weights if backbone == BACKBONE else unlike
    network, photos = build(start, tmp_path, backbone=backbone)
    torch.nn.init.normal_(network.model.head.weight, generator=torch.Generator().manual_seed(0))  # 0 stops gradients
    plain = copy.deepcopy(network.model)
    (loss,) = train_on(network, photos, examples, targets, batch_size=crops_each * n, **schedule)

    order = generator(0, "order", 0, 0).permutation(crops_each * n).tolist()
    crops = torch.cat(
        [
            strong_crop(photos.working(examples[row % n]), photos.preprocess, generator(0, "strong", 0, 0, row))
            for row in order
        ]
    )
    plain.train()
    expected = F.smooth_l1_loss(plain(crops)[1], torch.from_numpy(targets).float()[[row % n for row in order]])
    expected.backward()
    with torch.no_grad():
        for parameter in plain.trainable():
            if parameter.ndim > 1:
                parameter *= 1 - 1e-3 * decay
    torch.optim.Adam(list(plain.trainable()), lr=1e-3).step()
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    before = build(start, tmp_path, backbone=backbone)[0].model.state_dict()
    for (name, found), wanted in zip(network.model.named_parameters(), plain.parameters(), strict=True):
        # Adam's first step is the sign of the gradient: where that is all but 0, rounding decides.
        assert ((found - wanted).abs() > 1e-5).float().mean().item() < 0.02, name
        assert not found.requires_grad or not torch.equal(found, before[name]), name
    for (name, found), wanted in zip(network.model.named_buffers(), plain.buffers(), strict=True):
        assert torch.equal(found, wanted), name


def test_positions_do_not_decay() -> None:
    backbone = timm.create_model("test_vit", pretrained=False, num_classes=0)
    model = QualityModel(Reader("test_vit", backbone))
    exempt = set(train._exempt(model))
    assert {"reader.backbone.pos_embed", "reader.backbone.cls_token"} <= exempt & dict(model.named_parameters()).keys()


def test_clipped_gradients_move_less(weights: Path, examples: list[Photo], tmp_path: Path) -> None:
    """Adam's step is a gradient by its own size and 1e-8: it all but stops where that is cut to 1e-12."""
    moved = []
    for clip in (0.0, 1e6, 1e-12):
        network, photos = build(weights, tmp_path)
        before = network.model.head.bias.item()
        train_on(network, photos, examples, np.linspace(0, 2, len(examples)), batch_size=len(examples), clip=clip)
        moved.append(network.model.head.bias.item() - before)
    assert moved[0] == moved[1]
    assert 0 < abs(moved[2]) < 1e-3 * abs(moved[0])


def test_lanes_change_nothing(weights: Path, examples: list[Photo], tmp_path: Path) -> None:
    targets = np.linspace(-1, 1, len(examples))
    states, threads = [], torch.get_num_threads()
    for count in (1, 2):
        torch.set_num_threads(count)
        try:
            network, photos = build(weights, tmp_path)
            train_on(network, photos, examples, targets)
        finally:
            torch.set_num_threads(threads)
        states.append(network.model.state_dict())
    assert all(torch.equal(first, second) for first, second in zip(*(state.values() for state in states), strict=True))


def test_probed_head_is_the_ridge_regression(weights: Path) -> None:
    model = build_model(BACKBONE, weights)
    features = np.random.default_rng(0).normal(5, 3, (200, model.feature_dim)).astype(np.float32)
    targets = features[:, :3].sum(1) / 10
    train.probe_head(model, torch.from_numpy(features), targets.astype(np.float64))
    predicted = model.head(torch.from_numpy(features)).squeeze(-1).detach().numpy()
    assert np.corrcoef(predicted, targets)[0, 1] > 0.99
    assert predicted.mean() == pytest.approx(targets.mean(), abs=1e-3)


def test_divergence_is_named(weights: Path, examples: list[Photo], tmp_path: Path) -> None:
    network, photos = build(weights, tmp_path)
    with pytest.raises(SsiqaError, match="Phase 0 diverged; lower the learning rate"):
        train_on(network, photos, examples[:8], np.full(8, np.inf))


def test_views_are_means_over_crops_of_the_photo_alone(weights: Path, examples: list[Photo], tmp_path: Path) -> None:
    network, photos = build(weights, tmp_path)
    views = look(network, photos, examples)
    assert views.features.shape == (len(examples), network.model.feature_dim)
    assert torch.equal(views.features.flip(0)[:3], look(network, photos, examples[::-1][:3]).features)
    assert not torch.allclose(views.features, look(network, photos, examples, seed=1).features, atol=1e-5)

    first = examples[0]
    rng = generator(0, "weak", int.from_bytes(first.digest, "little"))
    with torch.no_grad():
        features, scores = network.model.eval()(weak_crops(photos.working(first), 2, photos.preprocess, rng))
    assert views.features[0] == pytest.approx(features.mean(0).numpy(), abs=1e-5)
    assert views.scores[0] == pytest.approx(scores.mean().item(), abs=1e-5)


def test_crops_one_by_one(weights: Path, examples: list[Photo], tmp_path: Path) -> None:
    """A row for each crop, from which the regression learns, and of whose predictions a photo's label is the mean."""
    network, photos = build(weights, tmp_path)
    pooled = look(network, photos, examples)
    with Task("test", len(examples)) as task, Lanes() as lanes:
        observer = Observer(network, photos, 2, 0, task, lanes, each_crop=True)
        rows = Look.join(list(observer.look(examples, again=False)))
    assert len(rows.scores) == 2 * len(examples)
    assert torch.allclose(rows.features.view(len(examples), 2, -1).mean(1), pooled.features, atol=1e-5)
    assert torch.allclose(predictions([rows], 2), pooled.scores, atol=1e-5)

    config = make_config("paper", weak_crops=2, crop_rows=True, gamma=1e-3, alpha=0.5)
    targets = np.linspace(-1, 1, len(examples))
    fitted = distill.regression(rows, targets, np.arange(len(examples)), config)
    assert fitted is not None
    expected = KernelRidge(1e-3, 0.5).fit(rows.features.double().numpy(), np.repeat(targets, 2))
    labels = distill.pseudo_labels(fitted, [rows], config, Profile())
    wanted, stds = expected.predict(rows.features.double().numpy(), return_std=True)
    assert np.allclose(labels.values, wanted.reshape(-1, 2).mean(1), atol=1e-8)
    assert labels.stds is not None
    assert np.allclose(labels.stds, stds.reshape(-1, 2).mean(1), atol=1e-6)
    assert np.allclose(labels.teacher, pooled.scores, atol=1e-5)


def test_the_networks_own_labels_are_of_photos_too(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    """Where a regression would be on single crops, and there is none."""
    run = ssiqa.adapt(labeled, unlabeled, tmp_path, **settings | {"blocks": 1, "crop_rows": True, "krr": False})
    with (tmp_path / "pseudo_labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == UNLABELED
    assert all(row["pseudo_label"] == row["teacher_score"] for row in rows)
    assert run.report["phases"][1]["gamma"] is None


def test_of_many_crops_some_are_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ``n // 20,000``-th, which leaves up to twice as many."""
    monkeypatch.setattr(distill, "MANY_CROPS", 7)
    features = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
    rows = Look(features, torch.zeros(24), torch.zeros(24))
    config = make_config("paper", weak_crops=2, crop_rows=True, gamma=0.1, alpha=1.0)
    fitted = distill.regression(rows, np.linspace(-1, 1, 12), None, config)
    assert fitted is not None
    assert np.array_equal(fitted.centres, features[::3].double())
    with pytest.raises(SsiqaError, match="A regression on single crops takes random ones"):
        make_config(crop_rows=True)


@pytest.mark.parametrize("wrong", [{"weight_decay": None}, {"clip": False}, {"weight_decay": -1.0}])
def test_a_schedule_takes_numbers(wrong: dict[str, Any]) -> None:
    with pytest.raises(SsiqaError, match="it must be a number above 0, or 0"):
        Schedule(epochs=1, lr=1e-3, decay_every=1, **wrong)


def test_crops_of_a_photo_are_left_out_together() -> None:
    """Where photos have no groups: each crop has near-duplicates, which tell nothing of other photos."""
    rng = np.random.default_rng(0)
    features = torch.from_numpy(np.repeat(rng.normal(size=(200, 4)), 10, axis=0) + 0.01 * rng.normal(size=(2000, 4)))
    rows, targets = Look(features.float(), torch.zeros(2000), torch.zeros(2000)), rng.normal(size=200)
    fitted = distill.regression(rows, targets, None, make_config("paper", crop_rows=True))
    assert fitted is not None
    assert fitted.loo_rmse is not None
    assert fitted.loo_rmse > 0.5


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_kept_activations_change_nothing(
    weights: Path, examples: list[Photo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    network, photos = build(weights, tmp_path, precision)
    assert network.has_stem
    computed = look(network, photos, examples, again=True)
    monkeypatch.setattr(network, "stem", None)  # from now on the cache must do
    kept = look(network, photos, examples, again=True)
    assert np.array_equal(computed.features, kept.features)
    assert np.array_equal(computed.scores, kept.scores)


def test_mixed_precision_is_near(weights: Path, examples: list[Photo], tmp_path: Path) -> None:
    """And trains float32 weights; which machines choose it is tested elsewhere."""
    whole, mixed = (build(weights, tmp_path, precision) for precision in ("float32", "bfloat16"))
    targets = np.linspace(-1, 1, len(examples))
    losses = [train_on(network, photos, examples, targets)[0] for network, photos in (whole, mixed)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert all(parameter.dtype == torch.float32 for parameter in mixed[0].model.parameters())
    features = [look(network, photos, examples).features for network, photos in (whole, mixed)]
    assert features[1].dtype == torch.float32
    assert np.corrcoef(features[0].ravel(), features[1].ravel())[0, 1] > 0.999
