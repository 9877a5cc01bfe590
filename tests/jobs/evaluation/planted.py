"""Models of the plant whose fault, or merit, is known: graphs by hand over rows that are made for them.

The label follows how far the load is from 0, so a line is no rival: `near` is right where a linear model guesses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import yaml
from onnx import TensorProto, helper
from safetensors.numpy import save

from millrace.artefact.artefact import Artefact, digest
from millrace.features import catalogue as encoders
from millrace.workload.load import load_workload
from tests.millrace.evaluation.gates.test_catalogue import DECLARED
from tests.plant import Plant, plant_label, plant_model, plant_rows, write_plant

FEATURES = ("load", "extra", "kind", "open")
EDGE = 0.6745
"""Half of the loads are nearer to 0."""
CASE: dict[str, Any] = {
    "name": "full load",
    "reason": "a pump at full load is on",
    "row": {"at": "2026-03-01T00:00:00", "site": "a", "load": 3, "extra": 5.0, "kind": "pump", "open": True},
}
ANSWERS: dict[str, Any] = {
    "multiclass": {"confidence": {"at_least": 0.34, "at_most": 1}},
    "regression": {"value": {"at_least": 0}},
}
SAME = {"calibration", "latency", "memorisation", "leakage", "freshness"}
GATES: dict[str, Any] = {
    **DECLARED.model_dump(mode="json", include=SAME, exclude_none=True),
    "simple": {"kind": "linear"},
    "slices": {"columns": ["kind", "open"], "max_error": 0.3},
    "fairness": {"columns": ["site"], "max_demographic_parity_difference": 0.1, "max_equalized_odds_difference": 0.1},
    "value": {
        "unit": "EUR",
        "decisions": 20000,
        "worth": {"true_positive": 5, "false_positive": -3, "false_negative": -4, "true_negative": 1},
    },
    "selective": {"max_error": 0.1, "min_coverage": 0.5},
    "robustness": {"noise": 0.1, "missing": 0.1, "max_rise": 0.1},
    "recall": {"at_least": 0.8},
    "precision": {"at_least": 0.8},
    "auc": {"at_least": 0.9},
    "cases": {"rows": [CASE | {"answer": {"value": 1, "probability": {"at_least": 0.9}}}]},
}
"""Of two classes; the good model keeps them all."""
WORTHS: dict[str, Any] = {"multiclass": {"right": 1, "wrong": -1}, "regression": {"above": -1, "below": -3}}
NUMBERS: dict[str, Any] = {
    "calibration": None,
    "selective": None,
    "recall": None,
    "fairness": {"columns": ["site"], "max_error_difference": 0.1},
    "slices": {"columns": ["kind", "open"], "max_error": 0.5},
    "robustness": {"noise": 0.1, "missing": 0.1, "max_rise": 0.5},
}


def declared_gates(task: str) -> dict[str, Any]:
    """Those of the task, as workload.yaml holds them."""
    if task == "binary":
        return GATES
    found = {**GATES, "value": {**GATES["value"], "worth": WORTHS[task]}}
    found["cases"] = {"rows": [CASE | {"answer": ANSWERS[task]}]}
    found |= dict.fromkeys(("precision", "auc"))
    found |= {"fairness": NUMBERS["fairness"]} | (NUMBERS if task == "regression" else {})
    return {name: gate for name, gate in found.items() if gate is not None}


def write_judged_plant(root: Path, task: str, **changed: Any) -> Plant:
    """The plant with every gate declared, some with other bars."""
    plant = write_plant(root, task, FEATURES)
    document = yaml.safe_load((plant.folder / "workload.yaml").read_text())
    gates = document["gates"] | declared_gates(task) | changed
    document["gates"] = {name: gate for name, gate in gates.items() if name != "calibration" or task != "regression"}
    (plant.folder / "workload.yaml").write_text(yaml.safe_dump(document))
    return Plant(folder=plant.folder, workload=load_workload(plant.folder))


def far_rows(task: str, *, seed: int = 0, noise: float = 0.1) -> pa.Table:
    """The plant's rows whose label follows how far the load is from 0."""
    rows, rng = plant_rows(task, seed=seed), np.random.default_rng(seed + 100)
    far = np.abs(rows["load"].to_numpy()) - EDGE + rng.normal(0, noise, len(rows))
    return with_column(rows, "truth", plant_label(task).labels(far * 2))


def with_column(rows: pa.Table, name: str, values: Any) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, pa.array(values, rows[name].type))


@dataclass(frozen=True, kw_only=True)
class Graph:
    """From `far` (N, 1), how far the load is from the edge, and the tensor `numbers` to `raw` (N, W)."""

    nodes: tuple[Any, ...] = ()
    constants: dict[str, np.ndarray] = field(default_factory=dict)


def linear(weights: Sequence[float], bias: Sequence[float], *, times: float = 1.0) -> Graph:
    """raw = far × weights × times + bias × times."""
    constants = {
        "weights": np.array([weights], np.float32) * np.float32(times),
        "bias": np.array(bias, np.float32) * np.float32(times),
    }
    nodes = (
        helper.make_node("MatMul", ["far", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["raw"]),
    )
    return Graph(nodes=nodes, constants=constants)


def good(task: str) -> Graph:
    """A model that has understood the plant."""
    return linear(*plant_label(task).weights)


def model(plant: Plant, rows: pa.Table, graph: Graph) -> Artefact:
    """The artefact whose weights are the graph's constants."""
    base = plant_model(plant, rows)
    features, task = base.description.features, plant.task
    kinds = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "uint8": TensorProto.UINT8}
    inputs = [
        helper.make_tensor_value_info(spec.name, kinds[spec.dtype], ["N", *spec.shape])
        for spec in encoders.signature(features)
    ]
    fixed = {"first": np.array([0], np.int64), "edge": np.array([EDGE], np.float32), "two": np.array([2], np.float32)}
    initializers = [onnx.numpy_helper.from_array(value, name) for name, value in {**fixed, **graph.constants}.items()]
    nodes = [
        helper.make_node("Gather", ["numbers", "first"], ["x"], axis=1),
        helper.make_node("Abs", ["x"], ["distance"]),
        helper.make_node("Sub", ["distance", "edge"], ["beyond"]),
        helper.make_node("Mul", ["beyond", "two"], ["far"]),
        *graph.nodes,
        helper.make_node(task.objective.activation.capitalize() or "Identity", ["raw"], ["output"]),
    ]
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", task.objective.width])
    whole = helper.make_model(
        helper.make_graph(nodes, "planted", inputs, [output], initializers),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    packed = save({name: value for name, value in graph.constants.items() if value.dtype == np.float32})
    serialized = bytes(whole.SerializeToString())
    digests = dataclasses.replace(base.description.digests, weights=digest(packed), onnx=digest(serialized))
    description = dataclasses.replace(base.description, digests=digests)
    return dataclasses.replace(base, description=description, weights=packed, onnx=serialized)
