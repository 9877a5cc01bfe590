"""A made-up plant for every task: two sites, rows by the hour with a number, text and a boolean, and a label that
follows the number. Its declaration, its rows, and a model of it whose graph is written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import yaml
from onnx import TensorProto, helper
from safetensors.numpy import save

from millrace.artefact.artefact import Artefact, Description, Digests, digest
from millrace.contract.load import load_contract
from millrace.features import catalogue as encoders
from millrace.tasks import catalogue as tasks
from millrace.tasks.task import Task
from millrace.workload.declaration import Workload
from millrace.workload.load import load_workload

ELECTRICITY = Path(__file__).resolve().parents[1] / "workloads" / "electricity" / "workload.yaml"
START = datetime.fromisoformat("2026-01-01")
DAYS = 120
STATES = ("low", "middle", "high")
NUMBER = {"logicalType": "number", "physicalType": "DOUBLE"}
TEXT = {"logicalType": "string", "physicalType": "STRING"}
LABELS = {
    "binary": {"logicalType": "integer", "physicalType": "INTEGER"},
    "multiclass": TEXT,
    "regression": NUMBER,
}
VALID = {"binary": [0, 1], "multiclass": list(STATES), "regression": None}
RULES = {
    "binary": {"kind": "base_rate", "margin": 0.02},
    "multiclass": {"kind": "seasonal_naive", "lag_hours": 24, "margin": 0.02},
    "regression": {"kind": "mean", "margin": 0.1},
}
FALLBACKS: dict[str, dict[str, Any]] = {
    "binary": {"probability": 0.25},
    "multiclass": {"value": "middle"},
    "regression": {"value": 1.5},
}
FIELD_IDS = {
    name: number for number, name in enumerate(("at", "site", "load", "extra", "kind", "open", "truth"), start=1)
}


@dataclass(frozen=True, kw_only=True)
class Plant:
    """The declaration for one task, read back from its folder."""

    folder: Path
    workload: Workload

    @property
    def task(self) -> Task:
        return tasks.declare(self.workload.prediction, load_contract(self.folder).label)


def write_plant(root: Path, task: str, features: Sequence[str] = ("load", "kind", "open")) -> Plant:
    """The workload `plant` below `root`, declared for the task."""
    folder = root / "plant"
    folder.mkdir(parents=True, exist_ok=True)
    document = yaml.safe_load(ELECTRICITY.read_text())
    document |= {"name": "plant"}
    document["prediction"] = {
        "task": task,
        "label": "truth",
        "key": ["at", "site"],
        "event_time": "at",
        "features": list(features),
        "fallback": FALLBACKS[task],
    }
    document["gates"]["baseline"] = RULES[task]
    if task == "regression":
        del document["gates"]["calibration"]
    (folder / "workload.yaml").write_text(yaml.safe_dump(document))
    (folder / "contract.yaml").write_text(yaml.safe_dump(_contract(task)))
    return Plant(folder=folder, workload=load_workload(folder))


def _contract(task: str) -> dict[str, Any]:
    keys = [
        _column("at", {"logicalType": "timestamp", "physicalType": "TIMESTAMP"}, primaryKey=True, primaryKeyPosition=1)
        | {"logicalTypeOptions": {"timezone": False}},
        _column("site", TEXT, primaryKey=True, primaryKeyPosition=2),
    ]
    label = _column("truth", LABELS[task], customProperties=[{"property": "role", "value": "label"}])
    if VALID[task]:
        label["quality"] = [_valid(VALID[task])]
    columns = [
        _column("load", NUMBER),
        _column("extra", NUMBER, required=False),
        _column("kind", TEXT, quality=[_valid(["pump", "fan"])]),
        _column("open", {"logicalType": "boolean", "physicalType": "BOOLEAN"}),
    ]
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "plant",
        "name": "plant",
        "version": "1.0.0",
        "status": "active",
        "schema": [
            {"name": name, "physicalType": "table", "logicalType": "object", "properties": properties}
            for name, properties in (("rows", [*keys, *columns, label]), ("labels", [*keys, label]))
        ],
    }


def _column(name: str, kind: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "required": True} | kind | more


def _valid(values: list[Any] | None) -> dict[str, Any]:
    arguments = {"validValues": values}
    return {
        "type": "library",
        "metric": "invalidValues",
        "arguments": arguments,
        "mustBe": 0,
        "dimension": "conformity",
    }


def plant_rows(task: str, *, days: int = DAYS, seed: int = 0) -> pa.Table:
    """Rows by the hour of the sites a and b; the label is `load` with a little noise, cut to the task's form."""
    rng = np.random.default_rng(seed)
    count = days * 24
    at = [START + timedelta(hours=hour) for hour in range(count) for _ in "ab"]
    load = rng.normal(0, 1, 2 * count)
    power = load + rng.normal(0, 0.2, 2 * count)
    labels = {
        "binary": pa.array((power > 0).astype(np.int32)),
        "multiclass": pa.array([STATES[k] for k in np.digitize(power, [-0.5, 0.5])]),
        "regression": pa.array(power * 2 + 1),
    }
    return pa.table(
        {
            "at": pa.array(at, pa.timestamp("us")),
            "site": ["a", "b"] * count,
            "load": load,
            "extra": pa.array(rng.normal(5, 1, 2 * count)),
            "kind": rng.choice(["pump", "fan"], 2 * count).tolist(),
            "open": rng.random(2 * count) < 0.5,
            "truth": labels[task],
        }
    )


def plant_weights(task: str) -> tuple[np.ndarray, np.ndarray]:
    """What makes of `load` the raw output (1, W) of a model that has understood the plant, and the bias (W)."""
    if task == "multiclass":
        return np.array([[-8.0, 0.0, 8.0]], np.float32), np.array([-4.0, 0.0, -4.0], np.float32)
    if task == "regression":
        return np.array([[2.0]], np.float32), np.array([1.0], np.float32)
    return np.array([[8.0]], np.float32), np.array([0.0], np.float32)


def plant_model(
    plant: Plant, rows: pa.Table, *, blind: bool = False, digests: tuple[str, str, str] = ("data", "contract", "config")
) -> Artefact:
    """A model of the plant's features that uses their first number; a blind one gives the same output always."""
    contract = load_contract(plant.folder)
    features = encoders.fit(encoders.declare(plant.workload.prediction.features, contract.rows), rows)
    weights_1W, bias_W = plant_weights(plant.task.kind)
    tensors = {"weights": weights_1W * (not blind), "bias": bias_W}
    packed, graph = save(tensors), _graph(features, plant.task, tensors)
    data, declared, config = digests
    description = Description(
        family="feedforward",
        parameters={},
        features=features,
        task=plant.task,
        label="truth",
        temperature=1.0,
        digests=Digests(
            data=data,
            contract=declared,
            config=config,
            code="code",
            weights=digest(packed),
            onnx=digest(graph),
        ),
        torch="2.13.0",
        walk_forward=(),
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
    activation = {"sigmoid": "Sigmoid", "softmax": "Softmax", "": "Identity"}[task.objective.activation]
    nodes.append(helper.make_node(activation, ["raw"], ["output"]))
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", task.objective.width])
    graph = helper.make_graph(nodes, "plant", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def write_data(folder: Path, rows: pa.Table) -> Path:
    """The rows as the data file of a snapshot, with Iceberg's field ids; returns the Iceberg schema's path."""
    import json

    import pyarrow.parquet as pq

    fields = [
        pa.field(field.name, field.type, metadata={"PARQUET:field_id": str(FIELD_IDS[field.name])})
        for field in rows.schema
    ]
    folder.mkdir(parents=True, exist_ok=True)
    part = pa.table([column.combine_chunks() for column in rows.columns], schema=pa.schema(fields))
    pq.write_table(part, folder / "00000.parquet", write_page_checksum=True)
    schema = folder.parent / "schema.json"
    names = [{"id": number, "name": name, "required": False, "type": "x"} for name, number in FIELD_IDS.items()]
    schema.write_text(json.dumps({"type": "struct", "schema-id": 0, "fields": names}))
    return schema
