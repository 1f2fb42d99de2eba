from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from ssiqa.errors import WeightsError
from ssiqa.models import build_model

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


def test_weights_that_run_code_are_refused(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (open, (str(tmp_path / "owned"), "w"))  # type: ignore[return-value]

    torch.save({"x": Payload()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError):
        build_model(BACKBONE, tmp_path / "evil.pth")
    assert not (tmp_path / "owned").exists()


def test_unreachable_hub_names_three_ways_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match=r"HF_HOME.*--weights.*--backbone tf_efficientnet_lite0"):
        build_model("deit3_small_patch16_224.fb_in1k")
