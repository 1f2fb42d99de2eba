"""A network in two halves computes what the whole computes."""

from __future__ import annotations

import logging

import pytest
import timm
import torch

from ssiqa.models import QualityModel, pooled_width
from ssiqa.network import Network
from ssiqa.stem import halve

# Convolutions, residuals, dense connections, windows, tokens.
BACKBONES = ("test_efficientnet", "resnet18", "ghostnet_050", "densenet121", "convnext_atto", "test_vit")


def build(name: str, frozen: float = 1 / 3) -> QualityModel:
    torch.manual_seed(0)
    backbone = timm.create_model(name, pretrained=False, num_classes=0)
    model = QualityModel(backbone, pooled_width(name, backbone))
    torch.nn.init.normal_(model.head.weight)
    model.freeze_first_layers(frozen)
    return model


def crops_for(model: QualityModel) -> torch.Tensor:
    side = model.backbone.pretrained_cfg["input_size"][-1]
    return torch.randn(2, 3, side, side).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", BACKBONES)
def test_halves_are_the_whole(name: str) -> None:
    model = build(name)
    crops = crops_for(model)
    network = Network(model, name, crops.shape[-1], torch.device("cpu"), "float32")
    assert network.has_stem
    with torch.no_grad():
        features, scores = model.eval()(crops)
    found = network.judge()(network.stem(crops))
    assert torch.allclose(found[0], features, atol=1e-4 * features.abs().max().item())
    assert torch.allclose(found[1], scores, atol=1e-4 * scores.abs().max().item())


@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit"])
def test_halves_have_the_gradients_of_the_whole(name: str) -> None:
    model = build(name)
    crops = crops_for(model)
    network = Network(model, name, crops.shape[-1], torch.device("cpu"), "float32")
    assert not network.is_random
    model.train()
    parameters = list(model.trainable())
    assert 0 < len(parameters) < len(list(model.parameters()))
    whole = torch.autograd.grad(model(crops)[1].sum(), parameters)
    halves = torch.autograd.grad(network.train_scores(network.stem(crops)).sum(), parameters)
    for expected, found in zip(whole, halves, strict=True):
        assert torch.allclose(found, expected, atol=1e-4 * max(expected.abs().max().item(), 1e-3))


def test_the_stem_reaches_as_far_as_it_can() -> None:
    """Everything that is frozen lies in it, where one tensor leads on."""
    model = build("test_efficientnet")
    halves = halve(model.backbone, "test_efficientnet")
    assert halves.stem is not None
    frozen = {name for name, parameter in model.backbone.named_parameters() if not parameter.requires_grad}
    assert {name.removeprefix("0.") for name, _ in halves.stem.named_parameters()} == frozen


def test_fingerprint_knows_the_frozen_weights_alone() -> None:
    first, second = build("test_efficientnet"), build("test_efficientnet")
    name = "test_efficientnet"
    expected = halve(first.backbone, name).fingerprint
    assert halve(second.backbone, name).fingerprint == expected
    with torch.no_grad():
        next(second.trainable()).add_(1)
    assert halve(second.backbone, name).fingerprint == expected
    with torch.no_grad():
        next(parameter for parameter in second.parameters() if not parameter.requires_grad).add_(1)
    assert halve(second.backbone, name).fingerprint != expected


def test_nothing_frozen_nothing_cut() -> None:
    model = build("test_efficientnet", frozen=0)
    crops = crops_for(model)
    network = Network(model, "test_efficientnet", crops.shape[-1], torch.device("cpu"), "float32")
    assert not network.has_stem
    assert torch.equal(network.stem(crops), crops)


def test_what_cannot_be_cut_stays_whole_and_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = build("test_efficientnet")
    monkeypatch.setattr(
        type(model.backbone),
        "forward",
        lambda self, x: self.forward_head(self.forward_features(x if x.sum() > 0 else -x)),
    )
    with caplog.at_level(logging.INFO, logger="ssiqa"):
        halves = halve(model.backbone, "test_efficientnet")
    assert halves.stem is None
    assert "The frozen layers of test_efficientnet are computed anew for each crop" in caplog.text


def test_dropout_is_noticed() -> None:
    for name, expected in (("test_efficientnet", False), ("ghostnet_050", True)):
        model = build(name)
        side = crops_for(model).shape[-1]
        before = torch.random.get_rng_state()
        network = Network(model, name, side, torch.device("cpu"), "float32")
        assert network.is_random == expected
        assert torch.equal(torch.random.get_rng_state(), before)
