from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from ssiqa.errors import WeightsError
from ssiqa.models import QualityModel, build_model
from ssiqa.reader import Reader

from .conftest import BACKBONE


def test_embedded_backbone_is_the_imagenet_network() -> None:
    """Every parameter comes from the embedded file: two loads agree and none is as timm would initialise it."""
    model, again = build_model("tf_efficientnet_lite0"), build_model("tf_efficientnet_lite0")
    fresh = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    loaded = dict(model.backbone.named_parameters())
    assert all(torch.equal(p, dict(again.backbone.named_parameters())[n]) for n, p in loaded.items())
    assert not any(torch.equal(parameter, loaded[name]) for name, parameter in fresh.named_parameters())


def test_starts_from_the_mean_of_a(weights: Path) -> None:
    features, scores = build_model(BACKBONE, weights, feature_dim=24)(torch.randn(2, 3, 160, 160))
    assert features.shape == (2, 24)
    assert scores.tolist() == [0.0, 0.0]


def test_projection_depends_on_the_seed_alone(weights: Path) -> None:
    first, second, other = (build_model(BACKBONE, weights, 24, seed).projection.weight for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_first_layers_are_frozen_in_order(weights: Path) -> None:
    model = build_model(BACKBONE, weights)
    everything = sum(1 for _ in model.trainable())
    model.freeze_first_layers(0.5)
    assert not model.backbone.conv_stem.weight.requires_grad
    assert model.backbone.conv_head.weight.requires_grad
    assert model.head.weight.requires_grad
    model.freeze_first_layers(0.0)
    assert sum(1 for _ in model.trainable()) == everything


def test_backbone_without_an_order_of_layers_is_trained_whole(caplog: pytest.LogCaptureFixture) -> None:
    backbone = nn.Linear(4, 8)
    backbone.pretrained_cfg = {"input_size": (4,)}
    model = QualityModel(Reader("linear", backbone))
    model.freeze_first_layers(0.0)
    assert sum(1 for _ in model.trainable()) == 4
    assert caplog.text == ""
    model.freeze_first_layers(0.3)
    assert sum(1 for _ in model.trainable()) == 4
    assert "timm does not know the order of Linear's" in caplog.text
    model.freeze_first_layers(1.0)
    assert sum(1 for _ in model.trainable()) == 2


@pytest.mark.parametrize("feature_dim", [None, 16])
@pytest.mark.parametrize(
    "backbone", ["mobilenetv3_small_050", "lcnet_050", "ghostnet_050", "test_vit", "test_efficientnet"]
)
def test_families_of_backbones_give_features(backbone: str, feature_dim: int | None, tmp_path: Path) -> None:
    network = timm.create_model(backbone, pretrained=False)
    save_file(network.state_dict(), tmp_path / "random.safetensors")
    model = build_model(backbone, tmp_path / "random.safetensors", feature_dim)
    assert model.training
    model.freeze_first_layers(0.5)
    frozen = sum(not parameter.requires_grad for parameter in model.parameters())
    assert 0 < frozen < sum(1 for _ in model.backbone.parameters())
    crops = torch.randn(2, *network.pretrained_cfg["input_size"])
    features, scores = model(crops)
    assert features.shape == (2, model.feature_dim)
    assert feature_dim in (None, model.feature_dim)
    assert scores.shape == (2,)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda self, x: self.forward_features(x), r"test_efficientnet cannot be used, because it gives \(1, \d+, "),
        (lambda self, x: [x], "test_efficientnet cannot be used, because it gives list"),
        (lambda self, x: x @ x[:, :2], "test_efficientnet cannot be used, because .*"),
    ],
)
def test_backbone_that_gives_no_vector_is_refused(
    broken: object, message: str, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("timm.models.efficientnet.EfficientNet.forward", broken)
    with pytest.raises(WeightsError, match=message) as caught:
        build_model(BACKBONE, weights)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    state = timm.create_model(BACKBONE, pretrained=False).state_dict()
    state["conv_stem.weight"][0, 0, 0, 0] = value
    save_file(state, tmp_path / "broken.safetensors")
    with pytest.raises(WeightsError, match=r"broken\.safetensors holds numbers .* not finite \(in conv_stem\.weight\)"):
        build_model(BACKBONE, tmp_path / "broken.safetensors")


def test_training_mode_keeps_batch_norm_statistics(weights: Path) -> None:
    model = build_model(BACKBONE, weights).train()
    before = model.backbone.bn1.running_mean.clone()
    model(torch.randn(4, 3, 160, 160) + 3)
    assert torch.equal(model.backbone.bn1.running_mean, before)


def test_position_embeddings_are_resized(tmp_path: Path) -> None:
    trained = timm.create_model("test_vit", pretrained=False, img_size=224)
    save_file(trained.state_dict(), tmp_path / "vit.safetensors")
    model = build_model("test_vit", tmp_path / "vit.safetensors")
    assert model.backbone.pos_embed.shape[1] < trained.pos_embed.shape[1]


def test_pickled_state_dict_is_read(tmp_path: Path, weights: Path) -> None:
    state = timm.create_model(BACKBONE, pretrained=False).state_dict()
    torch.save(state, tmp_path / "tiny.pth")
    model = build_model(BACKBONE, tmp_path / "tiny.pth")
    assert torch.equal(model.backbone.conv_stem.weight, state["conv_stem.weight"])


@pytest.mark.parametrize(
    ("backbone", "content", "message"),
    [
        ("no_such_net", None, "not a timm model"),
        (BACKBONE, None, "No weight file"),
        (BACKBONE, b"garbage", "does not hold weights for test_efficientnet"),
    ],
)
def test_bad_weights_are_named(tmp_path: Path, backbone: str, content: bytes | None, message: str) -> None:
    path = tmp_path / "file.pth"
    if content:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        build_model(backbone, path)


def test_weights_of_another_backbone_are_refused(weights: Path) -> None:
    with pytest.raises(WeightsError, match="does not hold weights for test_vit"):
        build_model("test_vit", weights)


def test_weights_that_run_code_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (open, (str(tmp_path / "owned"), "w"))  # type: ignore[return-value]

    # Older releases of timm run code unless told otherwise, such as 1.0.20.
    load = timm.models.load_state_dict
    monkeypatch.setattr(
        "ssiqa.models.load_state_dict", lambda path, weights_only=False: load(path, weights_only=weights_only)
    )
    torch.save({"x": Payload()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError):
        build_model(BACKBONE, tmp_path / "evil.pth")
    assert not (tmp_path / "owned").exists()


def test_unreachable_hub_names_three_ways_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match=r"HF_HOME.*--weights.*--backbone tf_efficientnet_lite0"):
        build_model("deit3_small_patch16_224.fb_in1k")
