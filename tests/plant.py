"""A made-up plant for every task: two sites, rows by the hour with a number, text and a boolean, and a label that
follows the number. Its declaration, its rows, and a model of it whose graph is written by hand.

What differs between tasks is in one file for each, `tests/millrace/tasks/<task>.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pyarrow as pa
import yaml
from onnx import TensorProto, helper
from safetensors.numpy import save

from millrace.artefact.artefact import Artefact, Digests, digest
from millrace.artefact.inference import Model
from millrace.contract.kinds import DECLARED_TYPES, arrow_type
from millrace.contract.load import load_contract
from millrace.datasets.examples import label_of
from millrace.features import catalogue as encoders
from millrace.tasks import catalogue as tasks
from millrace.tasks.task import Task
from millrace.workload.declaration import Workload
from millrace.workload.load import load_workload
from tests import builders
from tests.builders import BOOLEAN, LABEL, NUMBER, TEXT, TIME, column

Floats = npt.NDArray[np.floating[Any]]
ELECTRICITY = Path(__file__).resolve().parents[1] / "workloads" / "electricity" / "workload.yaml"
START = datetime.fromisoformat("2026-01-01")
DAYS = 120


@dataclass(frozen=True, kw_only=True)
class PlantLabel:
    """What the plant declares for one task, and how its labels follow from the power."""

    declared: Mapping[str, Any]
    """The label's column in contract.yaml: `logicalType`, `physicalType` and, if it has some, `validValues`."""
    labels: Callable[[Floats], list[Any]]
    """The labels of rows by their power (N), which is about normally distributed around 0."""
    weights: tuple[list[float], list[float]]
    """Weights and bias (W each) that make of the power the output, before its activation, of a good model."""
    prediction: Mapping[str, Any]
    """The keys of `prediction` in workload.yaml that the task needs, with a fallback."""
    fallback_answer: Mapping[str, Any]
    """The answer that the declared fallback gives."""
    explains: str
    """What an explanation of an answer takes apart, or how its words begin where rows differ: `log odds of `."""
    baseline: Mapping[str, Any]
    """The gate `baseline`, with a margin that a good model keeps and one of the same answer always does not."""
    columns: Mapping[str, Callable[[Floats], list[Any]]] = field(default_factory=dict)
    """Of a task with several labels what each of its columns holds, in place of `truth`."""
    persistence: float = 0.0
    """How much of the load of an hour is left in the next: a label ahead can be told from it."""


def plant_label(task: str) -> PlantLabel:
    """That of `tests/millrace/tasks/<task>.py`."""
    try:
        found: PlantLabel = import_module(f"tests.millrace.tasks.{task}").PLANT
    except ModuleNotFoundError as error:
        example = "tests/millrace/tasks/regression.py"
        raise LookupError(f"write tests/millrace/tasks/{task}.py with its PLANT, as {example} has one") from error
    return found


@dataclass(frozen=True, kw_only=True)
class Plant:
    """The declaration for one task, read back from its folder."""

    folder: Path
    workload: Workload

    @cached_property
    def task(self) -> Task:
        """As the contract's label was when it was first asked for."""
        return tasks.declare(self.workload.prediction, load_contract(self.folder).label)

    def labels(self, rows: pa.Table) -> pa.ChunkedArray:
        """The label of each row as training sees it; null where one ahead is not known."""
        return pa.chunked_array([label_of(rows, self.workload.prediction)])


def write_plant(root: Path, task: str, features: Sequence[str] = ("load", "kind", "open")) -> Plant:
    """The workload `plant` below `root`, declared for the task."""
    folder = root / "plant"
    folder.mkdir(parents=True, exist_ok=True)
    document = yaml.safe_load(ELECTRICITY.read_text())
    document |= {"name": "plant"}
    label = plant_label(task)
    document["prediction"] = {
        "task": task,
        "label": "truth",
        "key": ["at", "site"],
        "event_time": "at",
        "features": list(features),
        **label.prediction,
    }
    document["gates"]["baseline"] = dict(label.baseline)
    (folder / "contract.yaml").write_text(yaml.safe_dump(_contract(label)))
    (folder / "workload.yaml").write_text(yaml.safe_dump(document))
    plant = Plant(folder=folder, workload=load_workload(folder))
    if plant.task.objective.is_calibrated:
        return plant
    del document["gates"]["calibration"]
    (folder / "workload.yaml").write_text(yaml.safe_dump(document))
    return Plant(folder=folder, workload=load_workload(folder))


def _contract(label: PlantLabel) -> dict[str, Any]:
    keys = [column("at", TIME, key=1), column("site", TEXT, key=2)]
    marks = [LABEL]
    if isinstance(label.prediction.get("label"), Mapping):
        marks.append({"property": "input", "value": True})
    truths = [column(name, label.declared, customProperties=marks) for name in label.columns or ("truth",)]
    kind = column("kind", TEXT | {"validValues": ["pump", "fan"]})
    columns = [column("load", NUMBER), column("extra", NUMBER, required=False), kind, column("open", BOOLEAN)]
    return builders.contract("plant", [*keys, *columns, *truths], [*keys, *truths])


def plant_rows(task: str, *, days: int = DAYS, seed: int = 0) -> pa.Table:
    """Rows by the hour of the sites a and b; the power is `load` with a little noise, the label what the task says."""
    rng = np.random.default_rng(seed)
    count = days * 24
    at = [START + timedelta(hours=hour) for hour in range(count) for _ in "ab"]
    label = plant_label(task)
    load = rng.normal(0, 1, 2 * count)
    for row in range(2, 2 * count) if label.persistence else ():
        load[row] = label.persistence * load[row - 2] + np.sqrt(1 - label.persistence**2) * load[row]
    power = load + rng.normal(0, 0.2, 2 * count)
    kind = arrow_type(DECLARED_TYPES[label.declared["logicalType"]][label.declared["physicalType"]])
    columns = label.columns or {"truth": label.labels}
    return pa.table(
        {
            "at": pa.array(at, pa.timestamp("us")),
            "site": ["a", "b"] * count,
            "load": load,
            "extra": pa.array(rng.normal(5, 1, 2 * count)),
            "kind": rng.choice(["pump", "fan"], 2 * count).tolist(),
            "open": rng.random(2 * count) < 0.5,
            **{name: pa.array(made(power), kind) for name, made in columns.items()},
        }
    )


def plant_output(plant: Plant, rows: pa.Table) -> Floats:
    """What a good model of the plant gives for the rows (N, W), as `task.answers` takes it."""
    model = Model(plant_model(plant, rows))
    return model.outputs(encoders.encode(model.description.features, rows))


def plant_model(
    plant: Plant, rows: pa.Table, *, blind: bool = False, digests: tuple[str, str, str] = ("data", "contract", "config")
) -> Artefact:
    """A model of the plant's features that uses their first number; a blind one gives the same output always."""
    contract = load_contract(plant.folder)
    features = encoders.fit(encoders.declare(plant.workload.prediction.features, contract.rows), rows)
    weights, bias = plant_label(plant.task.kind).weights
    tensors = {"weights": np.array([weights], np.float32) * (not blind), "bias": np.array(bias, np.float32)}
    packed, graph = save(tensors), _graph(features, plant.task, tensors)
    data, declared, config = digests
    description = builders.description(
        features=features,
        task=plant.task,
        label=plant.workload.prediction.label,
        digests=Digests(
            data=data,
            contract=declared,
            config=config,
            code="code",
            weights=digest(packed),
            onnx=digest(graph),
        ),
    )
    return Artefact(description=description, weights=packed, onnx=graph, history=b"[]")


def _graph(features: encoders.Features, task: Task, tensors: dict[str, np.ndarray]) -> bytes:
    """The first number × weights + bias, then the task's activation; a tensor that is not used adds zero."""
    kinds = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "uint8": TensorProto.UINT8}
    signature = encoders.signature(features)
    inputs = [helper.make_tensor_value_info(spec.name, kinds[spec.dtype], ["N", *spec.shape]) for spec in signature]
    constants = [onnx.numpy_helper.from_array(values, name) for name, values in tensors.items()]
    constants.append(onnx.numpy_helper.from_array(np.array([0], np.int64), "first"))
    nodes = [
        helper.make_node("Gather", ["numbers", "first"], ["x"], axis=1),
        helper.make_node("MatMul", ["x", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["raw"]),
    ]
    # ONNX names a function as torch does, with a capital letter; its Softmax is over the last axis.
    activation = task.objective.activation.capitalize() or "Identity"
    nodes.append(helper.make_node(activation, ["raw"], ["output"]))
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", task.objective.width])
    graph = helper.make_graph(nodes, "plant", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())
