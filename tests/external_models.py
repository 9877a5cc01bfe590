"""Folders as makers of models elsewhere would bring them: a logistic regression on electricity's seven numbers."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference
from onnx.utils import Extractor

WIDTH = 7
SIGNATURE = {
    "inputs": [{"name": "numbers", "dtype": "float32", "shape": [WIDTH]}],
    "output": {"name": "output", "dtype": "float32", "shape": [1]},
}


def logistic(
    *,
    end: str = "Sigmoid",
    rows: str | int = "rows",
    domain: str = "",
    among: bool = False,
    name: str = "numbers",
    sign: int = 1,
) -> onnx.ModelProto:
    """Demand and price against their rough means; `among` makes a row's answer depend on the rows beside it, `sign` -1
    answers the opposite."""
    weights = sign * np.array([0.0, 0.3, 9.0, 1.5, 0.0, 0.0, 0.0], np.float32).reshape(WIDTH, 1)
    nodes = [helper.make_node("MatMul", [name, "weights"], ["product"])]
    last = "product"
    if among:
        nodes += [
            helper.make_node("ReduceMean", [last, "axis"], ["mean"]),
            helper.make_node("Sub", [last, "mean"], ["centred"]),
        ]
        last = "centred"
    nodes += [
        helper.make_node("Add", [last, "bias"], ["sum"]),
        helper.make_node(end, ["sum"], ["output"], domain=domain),
    ]
    constants = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.array([-1.4 * sign], np.float32), "bias"),
        *([numpy_helper.from_array(np.array([0]), "axis")] if among else []),
    ]
    graph = helper.make_graph(
        nodes,
        "logistic",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, WIDTH])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [rows, 1])],
        constants,
    )
    opsets = [helper.make_opsetid("", 21), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def parts(*, sign: int = 1) -> dict[str, onnx.ModelProto]:
    """The same model as three graphs by the names of their files, as several makers bring them: alike names inside."""
    whole = Extractor(shape_inference.infer_shapes(logistic(sign=sign)))
    ends = pairwise(["numbers", "product", "sum", "output"])
    made = {
        name: whole.extract_model([a], [b]) for name, (a, b) in zip(("before", "model", "after"), ends, strict=True)
    }
    for part in made.values():
        for inner in part.graph.initializer:
            part.graph.node[0].input[1] = inner.name = "inner"
    made["before"].ir_version -= 1
    return made


def contents_of(model: onnx.ModelProto, signature: Any = SIGNATURE) -> dict[str, bytes]:
    return {"model.onnx": model.SerializeToString(), "signature.json": json.dumps(signature).encode()}


def write(folder: Path, model: onnx.ModelProto, signature: Any = SIGNATURE, **more: onnx.ModelProto) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    files = contents_of(model, signature) | {f"{name}.onnx": part.SerializeToString() for name, part in more.items()}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def with_data_file(folder: Path, location: str = "model.data") -> Path:
    """The graph's weights in a file beside it, which the graph names `location`."""
    model = logistic()
    tensor = model.graph.initializer[0]
    (folder / "model.data").parent.mkdir(parents=True, exist_ok=True)
    (folder / "model.data").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return write(folder, model)
