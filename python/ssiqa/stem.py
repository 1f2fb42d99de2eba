"""A network whose first layers are frozen, in two halves: what those compute of a crop never changes."""

from __future__ import annotations

import hashlib
import logging
from typing import NamedTuple

from timm.models import get_notrace_functions, get_notrace_modules
from torch import Tensor, fx, nn

logger = logging.getLogger("ssiqa")


class Halves(NamedTuple):
    """A backbone as two functions, ``rest(stem(crops))``.

    Attributes:
        stem: The frozen layers up to where one tensor goes on, as in evaluation; None without frozen layers.
        rest: The layers after it, sharing their parameters with the backbone: in training and in evaluation.
        fingerprint: SHA-256 of the stem's structure and weights.
    """

    stem: nn.Module | None
    training_rest: nn.Module
    evaluation_rest: nn.Module
    fingerprint: str


class _Tracer(fx.Tracer):
    """Keeps whole what timm knows to be untraceable."""

    def __init__(self) -> None:
        super().__init__(autowrap_functions=tuple(get_notrace_functions()))  # type: ignore[no-untyped-call]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        untraceable = tuple(get_notrace_modules())  # type: ignore[no-untyped-call]
        return isinstance(m, untraceable) or super().is_leaf_module(m, module_qualified_name)


def halve(backbone: nn.Module, name: str) -> Halves:
    """Cut a backbone after its frozen first layers, as ``requires_grad`` of its parameters tells.

    Where it has none, or where it cannot be cut, ``rest`` is the whole.
    """
    whole = Halves(None, backbone, backbone, "")
    if all(parameter.requires_grad for parameter in backbone.parameters()):
        return whole
    try:
        (stem, training), (_, evaluation) = _cut(backbone, train=True), _cut(backbone, train=False)
    except Exception as error:  # anything that tracing somebody's network may raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        logger.info("The frozen layers of %s are computed anew for each crop, because %s.", name, reason)
        return whole
    return Halves(stem.eval(), training, evaluation, _fingerprint(stem))


def _cut(backbone: nn.Module, *, train: bool) -> tuple[fx.GraphModule, fx.GraphModule]:
    """The halves as graphs over the backbone's own modules.

    Raises:
        ValueError: No single tensor leads from frozen to trained layers.
    """
    was_training = backbone.training
    backbone.train(train)
    root = nn.Sequential(backbone)  # takes crops alone, whatever options the backbone takes beside them
    try:
        nodes = list(_Tracer().trace(root).nodes)
    finally:
        backbone.train(was_training)
    place = {node: number for number, node in enumerate(nodes)}
    last_user = [max((place[user] for user in node.users), default=number) for number, node in enumerate(nodes)]
    first_trained = next(number for number, node in enumerate(nodes) if _is_trained(root, node))
    for cut in range(first_trained - 1, 0, -1):
        crossing = [number for number in range(cut + 1) if last_user[number] > cut]
        if crossing == [cut]:
            break
    else:
        raise ValueError("no single tensor leads from its frozen layers to the others")
    return _graph(root, nodes[: cut + 1]), _graph(root, nodes[cut + 1 :], takes=nodes[cut])


def _is_trained(root: nn.Module, node: fx.Node) -> bool:
    if node.op == "call_module":
        return any(parameter.requires_grad for parameter in root.get_submodule(str(node.target)).parameters())
    if node.op == "get_attr":
        owner, _, attribute = str(node.target).rpartition(".")
        value = getattr(root.get_submodule(owner), attribute)
        return isinstance(value, Tensor) and value.requires_grad
    return node.op == "output"


def _graph(root: nn.Module, nodes: list[fx.Node], takes: fx.Node | None = None) -> fx.GraphModule:
    graph = fx.Graph()
    copies = {} if takes is None else {takes: graph.placeholder("activations")}
    for node in nodes:
        copies[node] = graph.node_copy(node, copies.__getitem__)
    if nodes[-1].op != "output":
        graph.output(copies[nodes[-1]])
    return fx.GraphModule(root, graph)


def _fingerprint(stem: fx.GraphModule) -> str:
    digest = hashlib.sha256(stem.code.encode())
    for name, tensor in sorted(stem.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
