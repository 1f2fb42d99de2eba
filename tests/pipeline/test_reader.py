"""A backbone read at several depths, or by a decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

import ssiqa
from ssiqa import train
from ssiqa.config import make_config
from ssiqa.errors import SsiqaError
from ssiqa.lanes import Lanes
from ssiqa.models import QualityModel, build_model
from ssiqa.network import Network
from ssiqa.reader import MOST_LAYERS, Reader, _layers, moments, pool_moments, takes_any_size
from ssiqa.standard import BEYOND, NORM, Standard

from .conftest import BACKBONE, student_weights

BACKBONES = ("test_efficientnet", "resnet18", "ghostnet_050", "densenet121", "convnext_atto", "test_vit")


def crops_for(backbone: nn.Module, n: int = 2) -> torch.Tensor:
    return torch.randn(n, *backbone.pretrained_cfg["input_size"], generator=torch.Generator().manual_seed(0))


def test_moments_are_those_of_each_channel() -> None:
    images = torch.randn(3, 5, 7, 8)
    found = moments(images, channels_last=False)
    assert torch.allclose(found[:, :5], images.mean((2, 3)), atol=1e-6)
    assert torch.allclose(found[:, 5:], images.flatten(2).std(2, correction=0), atol=1e-5)
    assert torch.allclose(moments(images.permute(0, 2, 3, 1), channels_last=True), found, atol=1e-6)
    tokens = images.flatten(2).transpose(1, 2)
    assert torch.allclose(moments(tokens, channels_last=False), found, atol=1e-6)
    before = torch.randn(3, 2, 5)
    found = torch.cat([found, before[:, 0]], 1)
    assert torch.allclose(moments(torch.cat([before, tokens], 1), False, prefix=2, class_token=True), found, atol=1e-6)


@given(st.integers(1, 4), st.integers(1, 4))
def test_pooled_moments_are_those_of_one_image(rows: int, columns: int) -> None:
    """Of tiles that together are the image, at two depths."""
    generator = torch.Generator().manual_seed(rows + 10 * columns)
    images = [torch.randn(2, channels, 6 * rows, 5 * columns, generator=generator) + 3 for channels in (4, 7)]
    whole = torch.cat([moments(image, channels_last=False) for image in images], 1)
    tiles = [
        torch.cat([moments(part, channels_last=False) for part in parts], 1)
        for parts in zip(*(_tiles(image) for image in images), strict=True)
    ]
    assert torch.allclose(pool_moments(torch.stack(tiles, 1), (8, 14), 2), whole, atol=1e-4)


def test_pooled_class_tokens_are_their_mean() -> None:
    read = torch.randn(2, 4, 9 + 6)
    found = pool_moments(read, (9, 6), 3)
    assert torch.allclose(found[:, 6:9], read[:, :, 6:9].mean(1))
    assert torch.allclose(found[:, 13:], read[:, :, 13:].mean(1))
    assert torch.allclose(found[:, 9:13], pool_moments(read[:, :, 9:13], (4,), 2))


def _tiles(image: torch.Tensor) -> list[torch.Tensor]:
    return [tile for row in image.split(6, dim=2) for tile in row.split(5, dim=3)]


@pytest.mark.parametrize(
    ("name", "takes"),
    [("test_efficientnet", True), ("tf_efficientnet_lite0", True), ("resnet18", True), ("test_vit", False)],
)
def test_who_takes_images_of_any_size(name: str, takes: bool) -> None:
    backbone = timm.create_model(name, pretrained=False, num_classes=0)
    assert takes_any_size(Reader(name, backbone, depths=True)) is takes


def test_a_trace_that_remembers_a_size_is_found_out() -> None:
    """A network that runs on any size, but counts places while it is traced."""
    backbone = timm.create_model("resnet18", pretrained=False, num_classes=0)
    reader = Reader("resnet18", backbone)
    last = backbone.layer4.forward
    backbone.layer4.forward = lambda x: last(x) * int(x.shape[-1])
    assert not takes_any_size(reader)


def test_depths_are_the_outputs_of_the_layers() -> None:
    backbone = timm.create_model("resnet18", num_classes=0).eval()
    reader = Reader("resnet18", backbone, depths=True).eval()
    crops = crops_for(backbone)
    with torch.no_grad():
        found = reader(crops).split(reader.widths, dim=1)
        x = backbone.maxpool(backbone.act1(backbone.bn1(backbone.conv1(crops))))
        for depth, layer in zip(found, ("layer1", "layer2", "layer3", "layer4"), strict=True):
            x = getattr(backbone, layer)(x)
            assert torch.allclose(depth, moments(x, channels_last=False), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "given", "before", "has_class_token"),
    [
        ("test_vit", {}, 1, True),
        ("deit_tiny_distilled_patch16_224", {"depth": 3}, 2, True),
        ("vit_small_patch16_224", {"depth": 3, "reg_tokens": 3}, 4, True),
        ("vit_small_patch16_224", {"depth": 3, "class_token": False, "global_pool": "avg"}, 0, False),
        ("vit_small_patch16_224", {"depth": 3, "class_token": False, "global_pool": "avg", "reg_tokens": 4}, 4, False),
        ("cait_xxs24_224", {"depth": 3}, 0, False),  # which has a class token in its last layers alone
    ],
)
def test_class_tokens_are_read_at_each_depth(
    name: str, given: dict[str, Any], before: int, has_class_token: bool
) -> None:
    backbone = timm.create_model(name, pretrained=False, num_classes=0, **given).eval()
    reader = Reader(name, backbone, depths=True).eval()
    crops, outputs = crops_for(backbone), []
    for layer in _layers(backbone):
        backbone.get_submodule(layer).register_forward_hook(lambda module, inputs, output: outputs.append(output))
    with torch.no_grad():
        last = backbone.forward_features(crops)
        layers = [*outputs, last]
        found = reader(crops).split(reader.widths, dim=1)
    assert reader.parts == (3 if has_class_token else 2)
    for depth, tokens in zip(found, layers, strict=True):
        places = tokens[:, before:]
        expected = [places.mean(1), (places.var(1, correction=0) + 1e-6).sqrt()]
        expected += [tokens[:, 0]] if has_class_token else []
        assert torch.allclose(depth, torch.cat(expected, 1), atol=1e-5)


def test_class_tokens_of_a_photos_crops_are_averaged() -> None:
    """And not pooled as if they were deviations."""
    backbone = timm.create_model("test_vit", pretrained=False, num_classes=0)
    model = QualityModel(Reader("test_vit", backbone, depths=True)).eval()
    read = torch.rand(1, 4, sum(model.reader.widths))
    features, _ = model.see(read)
    third = model.reader.widths[0] // 3
    assert torch.allclose(features[0, 2 * third : 3 * third], read[0, :, 2 * third : 3 * third].mean(0), atol=1e-6)


@pytest.mark.parametrize("name", BACKBONES)
def test_families_in_halves_and_in_threads(name: str) -> None:
    """What the halves compute is what the whole computes; and several threads do not hear each other's layers."""
    torch.manual_seed(0)
    backbone = timm.create_model(name, pretrained=False, num_classes=0)
    model = QualityModel(Reader(name, backbone, depths=True))
    nn.init.normal_(model.head.weight)
    model.freeze_first_layers(1 / 3)
    assert 1 < len(model.reader.widths) <= MOST_LAYERS + 1
    crops = crops_for(backbone, 4)
    network = Network(model, name, crops.shape[-1], torch.device("cpu"), "float32")
    assert network.has_stem
    with torch.no_grad():
        features, _ = model.eval()(crops)
        judged, _, _ = network.judge()(network.stem(crops), [1] * len(crops))
        with Lanes(4) as lanes:
            one_by_one = torch.cat(list(lanes.map(lambda crop: model(crop[None])[0], crops)))
    for found in (judged, one_by_one):
        assert torch.allclose(found, features, atol=2e-4 * features.abs().max().item())


def test_a_backbone_without_layers_is_read_at_its_last(
    weights: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = build_model(BACKBONE, weights)
    monkeypatch.delattr(timm.models.EfficientNet, "group_matcher")
    model = build_model(BACKBONE, weights, depths=True)
    assert model.feature_dim == whole.feature_dim
    assert "read at its pooled output, because 'EfficientNet' object has no attribute 'group_matcher'." in caplog.text


def test_standard_puts_depths_on_one_footing() -> None:
    torch.manual_seed(0)
    read = torch.cat([5 + 3 * torch.randn(500, 10), 0.01 * torch.randn(500, 40), torch.ones(500, 2)], 1)
    standard = Standard([10, 42])
    assert torch.equal(standard(read), read)
    standard.fit(read)
    first, second = standard(read).split([10, 42], dim=1)
    assert float(first.square().sum(1).mean()) == pytest.approx(NORM, rel=0.02)
    assert float(second.square().sum(1).mean()) == pytest.approx(NORM * 40 / 42, rel=0.02)
    assert first.mean(0).abs().max() < 1e-4
    far = standard(read + 1e6)
    assert float(far[:, 0].abs().max()) == pytest.approx(BEYOND * (NORM / 10) ** 0.5)
    assert torch.equal(far[:, -2:], torch.zeros(500, 2)), "what never varied in A decides nothing"


def test_standardized_features_are_what_the_model_gives_from_then_on(weights: Path) -> None:
    model = build_model(BACKBONE, weights, depths=True).eval()
    crops = crops_for(model.backbone, 6)
    with torch.no_grad():
        features = train.standardize(model, model(crops)[0])
        assert torch.allclose(model(crops)[0], features, atol=1e-4)


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vit") / "vit.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(timm.create_model("test_vit", pretrained=False).state_dict(), path)
    return path


def test_a_decoder_reads_tokens_whatever_their_order(transformer: Path) -> None:
    model, again = (build_model("test_vit", transformer, 16, seed=1, queries=6).eval() for _ in range(2))
    other = build_model("test_vit", transformer, 16, seed=2, queries=6).eval()
    assert torch.equal(model.reader.decoder.queries, again.reader.decoder.queries)
    assert not torch.equal(model.reader.decoder.queries, other.reader.decoder.queries)
    assert any(parameter is model.reader.decoder.queries for parameter in model.trainable())
    crops = crops_for(model.backbone, 2)
    features, _ = model(crops)
    assert features.shape == (2, 16)
    tokens = model.backbone.forward_features(crops)
    read = model.reader.decoder(tokens)
    assert torch.allclose(model.projection(read), features, atol=1e-5)
    prefix = model.backbone.num_prefix_tokens
    turned = torch.cat([tokens[:, :prefix], tokens[:, prefix:].flip(1)], 1)
    assert torch.allclose(model.reader.decoder(turned), read, atol=1e-5)
    turned[:, 0] += 1
    assert not torch.allclose(model.reader.decoder(turned), read, atol=1e-2)


def test_a_network_without_class_token_has_no_decoder(weights: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = build_model(BACKBONE, weights, queries=6)
    assert model.reader.decoder is None
    assert "test_efficientnet is read at its pooled output" in caplog.text
    assert "it has no class token for queries" in caplog.text


def test_a_run_with_a_decoder(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], transformer: Path, tmp_path: Path
) -> None:
    """Trained and exported with it."""
    read = {"backbone": "test_vit", "weights": transformer, "depths": False, "feature_dim": 16, "queries": 6}
    run = ssiqa.adapt(labeled, unlabeled, tmp_path / "run", **{**settings, **read, "blocks": 1})
    assert run.report["settings"]["queries"] == 6
    states = [student_weights(run.output_dir, phase) for phase in range(2)]
    assert not np.array_equal(states[0]["reader.decoder.queries"], states[1]["reader.decoder.queries"])
    assert np.isfinite(run.student.score(sorted(unlabeled.glob("*.png")))).all()


def test_a_decoder_reads_the_last_layer() -> None:
    with pytest.raises(SsiqaError, match="A decoder reads the last layer alone"):
        make_config(queries=6)


def test_a_projection_is_of_the_pooled_output() -> None:
    with pytest.raises(SsiqaError, match="set feature_dim=0, or depths=False"):
        make_config(feature_dim=8)
