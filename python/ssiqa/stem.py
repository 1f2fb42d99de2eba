"""A network whose first layers are frozen, in two halves: what those compute of a crop never changes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import torch
from timm.models import get_notrace_functions, get_notrace_modules
from torch import Tensor, fx, nn

from ssiqa.models import QualityModel
from ssiqa.reader import Reader, moments

logger = logging.getLogger("ssiqa")


class Halves(NamedTuple):
    """A reader as two functions, ``rest(*stem(crops))``.

    Attributes:
        stem: The frozen layers up to where one tensor goes on, beside what has been read so far, as in evaluation;
            None without frozen layers.
        training_rest: The layers after it, sharing their parameters with the backbone, as in training.
        evaluation_rest: The same as in evaluation.
    """

    stem: nn.Module | None
    training_rest: nn.Module
    evaluation_rest: nn.Module


class _Tracer(fx.Tracer):
    """Keeps whole what timm knows to be untraceable."""

    def __init__(self) -> None:
        super().__init__(autowrap_functions=tuple(get_notrace_functions()))  # type: ignore[no-untyped-call]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        untraceable = tuple(get_notrace_modules())  # type: ignore[no-untyped-call]
        return isinstance(m, untraceable) or super().is_leaf_module(m, module_qualified_name)


def halve(model: QualityModel, name: str, example: Tensor) -> Halves:
    """Cut a model's backbone after its frozen first layers, as ``requires_grad`` of its parameters tells.

    Where it has none, or cannot be cut into halves that compute what the whole computes, ``rest`` is the whole.

    Args:
        model: The modules of its backbone become those of the halves.
        name: For messages.
        example: Crops on which halves and whole are compared.
    """
    whole = Halves(None, model.reader, model.reader)
    if all(parameter.requires_grad for parameter in model.backbone.parameters()):
        return whole
    was_training = model.training
    try:
        (_, training), (stem, evaluation) = (_cut(model.train(mode).reader) for mode in (True, False))
        for mode, rest in ((True, training), (False, evaluation)):
            _compare(model.train(mode).reader, stem, rest, example)
    except Exception as error:  # anything that tracing somebody's network may raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        logger.info("The frozen layers of %s are computed anew for each crop, because %s.", name, reason)
        return whole
    finally:
        model.train(was_training)
    return Halves(stem, training, evaluation)


def _cut(reader: Reader) -> tuple[fx.GraphModule, fx.GraphModule]:
    """The halves of a reader in its present mode, as graphs over its own modules.

    Raises:
        ValueError: No single tensor leads from frozen to trained layers.
    """
    nodes = list(_Tracer().trace(reader).nodes)
    place = {node: number for number, node in enumerate(nodes)}
    last_user = [max((place[user] for user in node.users), default=number) for number, node in enumerate(nodes)]
    first_trained = next(number for number, node in enumerate(nodes) if _is_trained(reader, node))
    for cut in range(first_trained - 1, 0, -1):
        crossing = [nodes[number] for number in range(cut + 1) if last_user[number] > cut]
        if all(node is nodes[cut] or node.target is moments for node in crossing):
            return _graph(reader, nodes[: cut + 1], gives=crossing), _graph(reader, nodes[cut + 1 :], takes=crossing)
    raise ValueError("no single tensor leads from its frozen layers to the others")


def _is_trained(root: nn.Module, node: fx.Node) -> bool:
    if node.op == "call_module":
        return any(parameter.requires_grad for parameter in root.get_submodule(str(node.target)).parameters())
    if node.op == "get_attr":
        owner, _, attribute = str(node.target).rpartition(".")
        value = getattr(root.get_submodule(owner), attribute)
        return isinstance(value, Tensor) and value.requires_grad
    return node.op == "output"


def _graph(
    root: nn.Module, nodes: list[fx.Node], takes: Sequence[fx.Node] = (), gives: Sequence[fx.Node] = ()
) -> fx.GraphModule:
    graph = fx.Graph()
    copies = {node: graph.placeholder(f"activations_{number}") for number, node in enumerate(takes)}
    for node in nodes:
        copies[node] = graph.node_copy(node, copies.__getitem__)
    if gives:
        graph.output(tuple(copies[node] for node in gives))
    return fx.GraphModule(root, graph)


def _compare(reader: Reader, stem: nn.Module, rest: nn.Module, example: Tensor) -> None:
    """In training too, with the same random numbers: frozen layers that draw some do not belong in a stem.

    Raises:
        ValueError: The halves compute something else.
    """
    devices = [example.device] if example.device.type == "cuda" else []
    found = []
    for in_halves in (False, True):
        with torch.random.fork_rng(devices), torch.no_grad():
            torch.manual_seed(0)
            found.append(rest(*stem(example)) if in_halves else reader(example))
    whole, halves = found
    if not torch.allclose(whole, halves, rtol=1e-3, atol=1e-4 * float(whole.abs().max())):
        raise ValueError("its halves do not compute what the whole computes")
