"""The Open Inference Protocol on a trained model: its documents, the bits of `/invocations`, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from millrace.artefact.artefact import read_folder
from millrace.artefact.inference import Model
from millrace.jobs.serving.open_inference import OpenInference
from millrace.serving.application import Application
from millrace.serving.settings import Settings
from tests import builders

MODEL = "/v2/models/elec2"


@pytest.fixture(scope="module")
def model(model_1996: Path) -> Model:
    return Model(read_folder(model_1996))


@pytest.fixture(scope="module")
def protocol(model: Model) -> OpenInference:
    settings = Settings(model_version="3", model_name="elec2")
    return OpenInference(Application(model, settings), model.description, settings)


def ask(protocol: OpenInference, path: str, document: object = None) -> tuple[int, Any]:
    method = "GET" if document is None else "POST"
    [answer] = protocol.answer([builders.invocation(json.dumps(document).encode(), path=path, method=method)])
    return answer.status, json.loads(answer.body)


def tensors(model: Model, rows: int, **changed: Any) -> dict[str, Any]:
    cells_NF = np.random.default_rng(rows).random((rows, len(model.description.columns)))
    usual = {"datatype": "FP64", "shape": [rows]}
    found = [
        {"name": name, "data": cells.tolist(), **usual}
        for name, cells in zip(model.description.columns, cells_NF.T, strict=True)
    ]
    found[0] |= changed
    return {"inputs": found}


def test_describes_itself(protocol: OpenInference, model: Model) -> None:
    assert ask(protocol, "/v2/health/live") == (200, {"live": True})
    assert ask(protocol, "/v2/health/ready") == (200, {"ready": True})
    assert ask(protocol, "/v2")[1]["version"] == "3"
    assert ask(protocol, f"{MODEL}/versions/3/ready") == (200, {"name": "elec2", "ready": True})
    _, document = ask(protocol, MODEL)
    assert [one["name"] for one in document["inputs"]] == list(model.description.columns)
    assert document["outputs"][0] == {"name": "value", "datatype": "INT64", "shape": [-1]}


def test_answers_with_the_bits_of_invocations_among_other_requests(protocol: OpenInference, model: Model) -> None:
    asked = tensors(model, 40) | {"id": "a", "outputs": [{"name": "probability"}, {"name": "value"}]}
    rows = [
        dict(zip(model.description.columns, cells, strict=True))
        for cells in zip(*(one["data"] for one in asked["inputs"]), strict=True)
    ]
    other = builders.invocation(json.dumps({"rows": rows}).encode())
    opened = builders.invocation(json.dumps(asked).encode(), "application/octet-stream", path=f"{MODEL}/infer")
    refused = builders.invocation(path="/v2/nothing")
    first, no, answer, last = protocol.answer([other, refused, opened, other])
    assert (first, no.status) == (last, 404)
    document = json.loads(answer.body)
    assert (document["model_name"], document["model_version"], document["id"]) == ("elec2", "3", "a")
    assert [(one["name"], one["datatype"], one["shape"]) for one in document["outputs"]] == [
        ("probability", "FP64", [40]),
        ("value", "INT64", [40]),
    ]
    for output in document["outputs"]:
        assert output["data"] == [one[output["name"]] for one in json.loads(first.body)["predictions"]]


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"shape": [2]}, "inputs[0]"),
        ({"shape": ["3"]}, "inputs[0]"),
        ({"data": [1.0, 2.0]}, "inputs[0]"),
        ({"data": [[1.0], 2.0, 3.0]}, "row 0.{first}"),
        ({"datatype": "BYTES"}, "inputs[0]"),
        ({"name": "nobody"}, "inputs[0]"),
        ({"name": "period"}, "inputs"),
        ({"shape": [1], "data": [0.5]}, "inputs"),
        ({"data": [0.5, 1e39, 0.5]}, "row 1.{first}"),
    ],
)
def test_refuses_the_whole_request_with_the_place(
    protocol: OpenInference, model: Model, changed: dict[str, Any], where: str
) -> None:
    status, document = ask(protocol, f"{MODEL}/infer", tensors(model, 3, **changed))
    assert (status, document["where"]) == (400, where.format(first=model.description.columns[0]))
    assert document["expected"] in document["error"]


@pytest.mark.parametrize(
    ("path", "change", "status"),
    [
        ("/v2/models/other", None, 404),
        ("/v2/models/elec2/versions/4/infer", {}, 404),
        ("/v2/models/elec2/infer", None, 405),
        ("/v2/models/elec2", {}, 405),
        ("/v2/models/elec2/infer", {}, 200),
        ("/v2/models/elec2/infer", {"outputs": [{"name": "nobody"}]}, 400),
        ("/v2/models/elec2/infer", {"outputs": 7}, 400),
        ("/v2/models/elec2/infer", {"inputs": 7}, 400),
        ("/v2/models/elec2/infer", {"inputs": []}, 400),
    ],
)
def test_other_paths_models_methods_and_outputs_are_refused(
    protocol: OpenInference, model: Model, path: str, change: Any, status: int
) -> None:
    """A column may have the shape [N, 1], and its cells may be nested so."""
    document = None if change is None else tensors(model, 2, shape=[2, 1], data=[[0.1], [0.2]]) | change
    assert ask(protocol, path, document)[0] == status
