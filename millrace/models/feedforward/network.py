"""Feedforward: linear layers with GELU and dropout over standardised columns, one logit out.

N rows, F features, H hidden units. Standardisation and temperature are buffers, so that they travel with the weights
and the graph takes raw features.
"""

from __future__ import annotations

from itertools import pairwise

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from millrace.models.catalogue import Feedforward

OPSET = 20
"""The first with Gelu as an operator of its own."""


class Network(nn.Module):
    """Raw features (N, F) in, logits (N) out; `probability` applies the temperature."""

    mean_F: Tensor
    scale_F: Tensor
    temperature: Tensor

    def __init__(self, parameters: Feedforward, features: int, *, may_miss: bool = False) -> None:
        super().__init__()
        widths = [features, *parameters.hidden]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.head = nn.Linear(widths[-1], 1)
        self.dropout = parameters.dropout
        self.may_miss = may_miss
        self.register_buffer("mean_F", torch.zeros(features))
        self.register_buffer("scale_F", torch.ones(features))
        self.register_buffer("temperature", torch.ones(()))

    def standardise(self, x_NF: Tensor) -> None:
        """Take mean and scale from the training rows; a column that never varies there is switched off.

        Nothing was learnt about such a column: were it scaled by 1, its first new value would meet random weights
        (measured on elec2, May 1997: accuracy 0.64 against 0.84). Sums in float64: in float32 a constant column gets
        a deviation of rounding errors. What is missing counts as the mean."""
        exact = x_NF.double()
        if self.may_miss:
            exact = torch.where(exact.isnan(), exact.nanmean(0).nan_to_num(), exact)
        constant_F = exact.amin(0) == exact.amax(0)
        deviation_F = torch.where(constant_F, torch.inf, exact.std(0, correction=0))
        self.mean_F.copy_(exact.mean(0))
        self.scale_F.copy_(1 / deviation_F)

    def forward(self, x_NF: Tensor) -> Tensor:
        x_NH = (x_NF - self.mean_F) * self.scale_F
        if self.may_miss:
            x_NH = torch.where(x_NH.isnan(), 0.0, x_NH)
        for layer in self.hidden:
            x_NH = functional.dropout(functional.gelu(layer(x_NH)), self.dropout, self.training)
        logit_N1: Tensor = self.head(x_NH)
        return logit_N1[:, 0]

    def probability(self, x_NF: Tensor) -> Tensor:
        """The calibrated probability (N) of class 1."""
        return torch.sigmoid(self(x_NF) / self.temperature)


def build(parameters: Feedforward, features: int, *, may_miss: bool = False) -> Network:
    """The untrained network for rows of `features` columns; `may_miss`: NaN stands for a missing number."""
    return Network(parameters, features, may_miss=may_miss)


def graph(network: Network) -> bytes:
    """The network as ONNX: `features` (N, F) float32 in, `probability` (N) float32 out.

    Written by hand: torch's exporter needs onnxscript, the older one is deprecated, and the graph is ten lines."""
    nodes = [
        helper.make_node("Sub", ["features", "mean_F"], ["centred"]),
        helper.make_node("Mul", ["centred", "scale_F"], ["scaled" if network.may_miss else "x0"]),
    ]
    if network.may_miss:
        nodes.append(helper.make_node("IsNaN", ["scaled"], ["missing"]))
        nodes.append(helper.make_node("Where", ["missing", "nothing", "scaled"], ["x0"]))
    for number in range(len(network.hidden)):
        weights = [f"hidden.{number}.weight", f"hidden.{number}.bias"]
        nodes.append(helper.make_node("Gemm", [f"x{number}", *weights], [f"linear{number}"], transB=1))
        nodes.append(helper.make_node("Gelu", [f"linear{number}"], [f"x{number + 1}"]))
    last = f"x{len(network.hidden)}"
    nodes += [
        helper.make_node("Gemm", [last, "head.weight", "head.bias"], ["logit_N1"], transB=1),
        helper.make_node("Squeeze", ["logit_N1", "columns"], ["logit_N"]),
        helper.make_node("Div", ["logit_N", "temperature"], ["calibrated_N"]),
        helper.make_node("Sigmoid", ["calibrated_N"], ["probability"]),
    ]
    constants = [numpy_helper.from_array(value.cpu().numpy(), name) for name, value in network.state_dict().items()]
    constants.append(helper.make_tensor("columns", TensorProto.INT64, [1], [1]))
    if network.may_miss:
        constants.append(helper.make_tensor("nothing", TensorProto.FLOAT, [], [0.0]))
    features = network.mean_F.numel()
    made = helper.make_graph(
        nodes,
        "feedforward",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", features])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N"])],
        constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
