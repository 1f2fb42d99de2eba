"""Batch norms in evaluation are a scale and a shift: folded into the convolution before, they cost nothing."""

from __future__ import annotations

import copy

from timm.layers.norm_act import BatchNormAct2d
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(module: nn.Module) -> nn.Module:
    """A copy of ``module`` for evaluation, with the weights of this moment; of a graph, its batch norms are folded."""
    folded = copy.deepcopy(module).eval().requires_grad_(False)
    if not isinstance(folded, fx.GraphModule):
        return folded
    modules = dict(folded.named_modules())
    for node in folded.graph.nodes:
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) != 1:
            continue
        convolution, norm = modules[str(before.target)], modules[str(node.target)]
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d | BatchNormAct2d):
            folded.set_submodule(str(before.target), fuse_conv_bn_eval(convolution, norm))
            after = nn.Sequential(norm.drop, norm.act) if isinstance(norm, BatchNormAct2d) else nn.Identity()
            folded.set_submodule(str(node.target), after)
    return folded
