"""Batch norms in evaluation are a scale and a shift: folded into the convolution before, they cost nothing."""

from __future__ import annotations

import copy
from collections import Counter

from timm.layers.conv2d_same import Conv2dSame
from timm.layers.norm_act import BatchNormAct2d
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(module: nn.Module) -> nn.Module:
    """A copy of ``module`` for evaluation, with the weights of this moment; of a graph, its batch norms are folded."""
    folded = copy.deepcopy(module).eval().requires_grad_(False)
    if not isinstance(folded, fx.GraphModule):
        return folded
    modules = dict(folded.named_modules())
    calls = Counter(node.target for node in folded.graph.nodes if node.op == "call_module")
    for node in folded.graph.nodes:
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) != 1:
            continue
        if calls[before.target] > 1 or calls[node.target] > 1:
            continue  # a module that is called in two places cannot hold what belongs to one
        convolution, norm = modules[str(before.target)], modules[str(node.target)]
        # Exactly these: a subclass may do more with its weights, for example standardise them.
        if type(convolution) in (nn.Conv2d, Conv2dSame) and type(norm) in (nn.BatchNorm2d, BatchNormAct2d):
            folded.set_submodule(str(before.target), fuse_conv_bn_eval(convolution, norm))
            after = nn.Sequential(norm.drop, norm.act) if isinstance(norm, BatchNormAct2d) else nn.Identity()
            folded.set_submodule(str(node.target), after)
    return folded
