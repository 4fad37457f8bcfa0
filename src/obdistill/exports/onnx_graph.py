"""Policies as ONNX graphs: states in, actions out, both in the environment's units."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.checker
import onnx.reference
from onnx import TensorProto, helper, numpy_helper

from obdistill.core.atomic import replacing
from obdistill.core.errors import UserError
from obdistill.core.units import STD_FLOOR
from obdistill.policies.architectures import ARCHITECTURES
from obdistill.policies.policy import Policy

OPSET, IR = 17, 8  # of 2022: runtimes since then read them
INPUT, OUTPUT = "observations", "actions"
TOLERANCE = 1e-5
CHECKED = 32  # states on which graph and policy are compared


class _Graph:
    """Nodes in the order in which they are computed."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, values: np.ndarray) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
        return name

    def node(self, kind: str, *inputs: str | np.ndarray, output: str = "", **attributes: Any) -> str:
        """Add an operation, and return the name of its result; arrays become constants."""
        names = [self.constant(one) if isinstance(one, np.ndarray) else one for one in inputs]
        output = output or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [output], **attributes))
        return output


def to_onnx(policy: Policy) -> onnx.ModelProto:
    """Return the graph of a policy: normalizer, network, mean of the members, scale and bounds of the actions.

    Input: ``observations`` of shape (n, state_dim); output: ``actions`` of shape (n, action_dim); float32.
    """
    members = policy.members
    normalizer, parameters = members.normalizer, members.parameters
    low, high = normalizer.action_low, normalizer.action_high
    graph = _Graph()
    x = graph.node("Sub", INPUT, normalizer.state_mean)
    x = graph.node("Div", x, normalizer.state_std + np.float32(STD_FLOOR))
    skips = {to: start for start, to in ARCHITECTURES[members.architecture].skips}
    outputs = {0: x}
    for layer, (weight, bias) in enumerate(zip(parameters.weights, parameters.biases, strict=True), 1):
        x = graph.node("Add", graph.node("MatMul", x, weight.numpy()), bias.numpy())  # (R, n, width)
        x = graph.node("Tanh" if layer == len(parameters.weights) else "Relu", x)
        if layer in skips:
            x = graph.node("Add", x, outputs[skips[layer]])
        outputs[layer] = x
    x = graph.node("ReduceMean", x, axes=[0], keepdims=0)
    x = graph.node("Add", graph.node("Mul", x, (high - low) / 2), (high + low) / 2)
    graph.node("Min", graph.node("Max", x, low), high, output=OUTPUT)
    sides = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", len(one)])
        for name, one in ((INPUT, normalizer.state_mean), (OUTPUT, low))
    ]
    made = helper.make_graph(graph.nodes, policy.task.name, sides[:1], sides[1:], graph.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.checker.check_model(model, full_check=True)
    return model


def write_onnx(policy: Policy, path: Path) -> None:
    """Write a policy as an ONNX file, after a comparison of graph and policy on random states.

    Raises
    ------
    UserError
        If an action differs by more than 1e-5 of the range of actions, or the file cannot be written.
    """
    model = to_onnx(policy)
    normalizer = policy.members.normalizer
    noise = np.random.default_rng(0).standard_normal((CHECKED, len(normalizer.state_mean)))
    states = (normalizer.state_mean + normalizer.state_std * noise).astype(np.float32)
    (actions,) = onnx.reference.ReferenceEvaluator(model).run(None, {INPUT: states})
    scale = np.maximum(1, np.abs(normalizer.action_high - normalizer.action_low) / 2)
    worst = float((np.abs(actions - policy(states)) / scale).max())
    if worst > TOLERANCE:
        raise UserError(f"{path}: actions of the graph differ by {worst:.1e}; at most {TOLERANCE} is allowed")
    with replacing(path) as to:
        to.write_bytes(model.SerializeToString())
