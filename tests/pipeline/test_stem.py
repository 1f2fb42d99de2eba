"""A network in two halves computes what the whole computes."""

from __future__ import annotations

import gc
import logging
import weakref

import pytest
import timm
import torch
from timm.layers import StdConv2d
from torch import fx

from ssiqa.fold import fold_batch_norms
from ssiqa.models import QualityModel
from ssiqa.network import Network
from ssiqa.reader import Reader
from ssiqa.stem import halve

# Convolutions, residuals, dense connections, layer norms, tokens.
BACKBONES = ("test_efficientnet", "resnet18", "ghostnet_050", "densenet121", "convnext_atto", "test_vit")
CPU = torch.device("cpu")


def build(name: str, frozen: float = 1 / 3, depths: bool = False) -> QualityModel:
    torch.manual_seed(0)
    backbone = timm.create_model(name, pretrained=False, num_classes=0)
    model = QualityModel(Reader(name, backbone, depths))
    torch.nn.init.normal_(model.head.weight)
    model.freeze_first_layers(frozen)
    return model


def crops_for(model: QualityModel) -> torch.Tensor:
    side = model.backbone.pretrained_cfg["input_size"][-1]
    return torch.randn(2, 3, side, side).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("name", "frozen"), [*((name, 1 / 3) for name in BACKBONES), ("test_efficientnet", 1.0)])
def test_halves_are_the_whole(name: str, frozen: float) -> None:
    model = build(name, frozen)
    with torch.no_grad():
        for module in model.modules():  # as after training, so that folding has something to do
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 2)
    crops = crops_for(model)
    network = Network(model, name, crops.shape[-1], CPU, "float32")
    assert network.has_stem
    with torch.no_grad():
        features, scores = model.eval()(crops)
    found, own, scored = network.judge()(network.stem(crops), [1] * len(crops))
    assert torch.allclose(found, features, atol=1e-4 * features.abs().max().item())
    for judged in (own, scored):
        assert torch.allclose(judged, scores, atol=1e-4 * scores.abs().max().item())


@pytest.mark.parametrize("counts", [[1, 1], [2], [1, 2]])
def test_it_trains_in_the_precision_asked_for_and_judges_in_float32(counts: list[int]) -> None:
    """What regressions and guard go by is what exported scorers say."""
    model = build("test_efficientnet")
    torch.nn.init.normal_(model.head.weight)
    crops = crops_for(model)[:1].repeat(sum(counts), 1, 1, 1)
    mixed, whole = (
        Network(model, "test_efficientnet", crops.shape[-1], CPU, precision) for precision in ("bfloat16", "float32")
    )
    judged, expected = (network.judge()(network.stem(crops), counts) for network in (mixed, whole))
    assert expected[1].shape == (len(counts),)
    for found, wanted in zip(judged, expected, strict=True):
        assert torch.equal(found, wanted)
    assert not torch.equal(mixed.train_scores(crops), whole.train_scores(crops))


@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit"])
def test_halves_have_the_gradients_of_the_whole(name: str) -> None:
    model = build(name)
    crops = crops_for(model)
    network = Network(model, name, crops.shape[-1], CPU, "float32")
    assert not network.is_random
    model.train()
    parameters = list(model.trainable())
    assert 0 < len(parameters) < len(list(model.parameters()))
    whole = torch.autograd.grad(model(crops)[1].sum(), parameters)
    halves = torch.autograd.grad(network.train_scores(crops).sum(), parameters)
    for expected, found in zip(whole, halves, strict=True):
        assert torch.allclose(found, expected, atol=1e-4 * max(expected.abs().max().item(), 1e-3))


def test_the_stem_reaches_as_far_as_it_can() -> None:
    """Everything that is frozen lies in it, where one tensor leads on."""
    model = build("test_efficientnet")
    halves = halve(model, "test_efficientnet", crops_for(model))
    assert halves.stem is not None
    frozen = {name for name, parameter in model.reader.named_parameters() if not parameter.requires_grad}
    assert {name for name, _ in halves.stem.named_parameters()} == frozen


def fingerprint(model: QualityModel, name: str = "test_efficientnet") -> str:
    return Network(model, name, crops_for(model).shape[-1], CPU, "float32").fingerprint


def test_fingerprint_knows_what_the_frozen_layers_compute() -> None:
    first, second = build("test_efficientnet"), build("test_efficientnet")
    expected = fingerprint(first)
    assert fingerprint(second) == expected
    with torch.no_grad():
        next(second.trainable()).add_(1)
    assert fingerprint(second) == expected
    with torch.no_grad():
        next(parameter for parameter in second.parameters() if not parameter.requires_grad).add_(1)
    assert fingerprint(second) != expected
    for module in first.modules():  # nothing that a state dict knows
        if isinstance(module, torch.nn.Conv2d) and module.kernel_size == (3, 3):
            module.padding, module.dilation = (2, 2), (2, 2)
    assert fingerprint(first) != expected


def test_cutting_changes_nothing() -> None:
    model = build("test_efficientnet")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    network = Network(model, "test_efficientnet", crops_for(model).shape[-1], CPU, "float32")
    network.judge()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_judging_leaves_nothing_behind() -> None:
    model = build("resnet18")
    network = Network(model, "resnet18", crops_for(model).shape[-1], CPU, "float32")
    seen = []
    for _ in range(3):
        judge = network.judge()
        seen.append(weakref.ref(judge))
        del judge
    gc.collect()
    assert [reference() for reference in seen] == [None] * 3


def test_frozen_layers_that_draw_are_not_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    model = build("ghostnet_050", frozen=1.0)
    with caplog.at_level(logging.INFO, logger="ssiqa"):
        network = Network(model, "ghostnet_050", crops_for(model).shape[-1], CPU, "float32")
    assert not network.has_stem
    assert "computed anew for each crop" in caplog.text


def test_nothing_frozen_nothing_cut() -> None:
    model = build("test_efficientnet", frozen=0)
    crops = crops_for(model)
    network = Network(model, "test_efficientnet", crops.shape[-1], CPU, "float32")
    assert not network.has_stem
    (activations,) = network.stem(crops)
    assert torch.equal(activations, crops)


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
        halves = halve(model, "test_efficientnet", crops_for(model))
    assert halves.stem is None
    assert "The frozen layers of test_efficientnet are computed anew for each crop" in caplog.text


class Shared(torch.nn.Module):
    """One convolution before two norms, and one that standardises its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.once = torch.nn.Conv2d(3, 3, 1)
        self.first, self.second, self.third = (torch.nn.BatchNorm2d(3) for _ in range(3))
        self.standardised = StdConv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(self.once(self.first(self.once(x))))
        return self.third(self.standardised(self.first(x)))


def test_only_what_belongs_together_is_folded() -> None:
    torch.manual_seed(0)
    module = Shared().eval()
    for norm in (module.first, module.second, module.third):
        for tensor in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
            tensor.data.uniform_(0.5, 2)
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        assert torch.allclose(fold_batch_norms(fx.symbolic_trace(module))(x), module(x), atol=1e-5)


def test_dropout_is_noticed() -> None:
    for name, expected in (("test_efficientnet", False), ("ghostnet_050", True)):
        model = build(name)
        side = crops_for(model).shape[-1]
        before = torch.random.get_rng_state()
        network = Network(model, name, side, CPU, "float32")
        assert network.is_random == expected
        assert torch.equal(torch.random.get_rng_state(), before)
