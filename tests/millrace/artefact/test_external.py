"""What the folder of an external model must hold, and the refusal that says what it lacks."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from millrace.artefact import external, graph
from millrace.contract.load import load_contract
from millrace.errors import ArtefactError
from millrace.features import catalogue as encoders
from millrace.tasks import catalogue as tasks
from millrace.workload.load import load_workload
from tests import external_models
from tests.external_models import SIGNATURE, logistic, write

WORKLOADS = Path(__file__).resolve().parents[3] / "workloads"
ELECTRICITY, CONTRACT = load_workload(WORKLOADS / "electricity"), load_contract(WORKLOADS / "electricity")


def check(folder: Path, workload: str = "electricity") -> None:
    declared, contract = load_workload(WORKLOADS / workload), load_contract(WORKLOADS / workload)
    model = external.read(folder)
    external.features_of(model, declared, contract)
    external.check_output(model, tasks.declare(declared.prediction, contract.label))


def test_weights_in_a_file_beside_the_graph_are_taken_in(tmp_path: Path) -> None:
    check(external_models.with_data_file(tmp_path / "a"))
    found = external.read(tmp_path / "a")
    assert found.onnx == logistic().SerializeToString()
    assert found.digest == external.read(write(tmp_path / "b", logistic())).digest


def test_graphs_before_and_after_the_model_are_one_with_it(tmp_path: Path) -> None:
    check(write(tmp_path / "parts", **external_models.parts()))
    found = external.read(tmp_path / "parts")
    assert set(found.contents) == {"before.onnx", "model.onnx", "after.onnx", "signature.json"}
    numbers_NF = np.random.default_rng(7).random((50, external_models.WIDTH), np.float32)
    said = [
        onnxruntime.InferenceSession(graph).run(None, {"numbers": numbers_NF})[0]
        for graph in (found.onnx, logistic().SerializeToString())
    ]
    assert said[0].tobytes() == said[1].tobytes()


def inside_of_a_branch() -> onnx.ModelProto:
    """An operator of somebody's own in the subgraph of an If."""
    own = helper.make_graph([helper.make_node("Run", [], ["x"], domain="com.example")], "then", [], [])
    model = logistic()
    model.graph.node.append(helper.make_node("If", ["output"], ["never"], then_branch=own, else_branch=own))
    return model


def one_node(operator: str, domain: str = "", *, opset: int = 21) -> onnx.ModelProto:
    graph = external_models.parts()["after"].graph
    graph.node[0].op_type, graph.node[0].domain = operator, domain
    versions = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=versions, ir_version=10)


@pytest.mark.parametrize(
    ("put", "said"),
    [
        ({"after": logistic()}, "after.onnx: expected a graph that goes on from the one before it, got .*numbers"),
        ({"after": one_node("Run", "com.example")}, "expected operators of ONNX, got com.example.Run"),
        ({"after": inside_of_a_branch()}, "after.onnx: expected no If, Loop and Scan in a graph of several"),
        ({"after": one_node("Sigmoid", opset=20)}, "after.onnx: expected a graph that goes on from the one before it"),
    ],
)
def test_graphs_that_do_not_fit_together_are_refused(tmp_path: Path, put: Any, said: str) -> None:
    with pytest.raises(ArtefactError, match=said):
        external.read(write(tmp_path, **external_models.parts() | put))


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "", "sub/../../secret", "a\0b"])
def test_weights_in_a_file_elsewhere_are_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret").write_bytes(b"\0" * 28)
    folder = external_models.with_data_file(tmp_path / "a", location)
    with pytest.raises(ArtefactError, match="tensor weights: expected a file beside the graph, in its folder, got"):
        external.read(folder)


def test_a_data_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    folder = external_models.with_data_file(tmp_path)
    (folder / "model.data").write_bytes(b"\0" * 7)
    with pytest.raises(ArtefactError, match="expected numbers of each tensor, got buffer size"):
        graph.weights(graph.parse(external.read(folder).onnx))


def test_a_link_to_a_file_elsewhere_is_refused(tmp_path: Path) -> None:
    folder = external_models.with_data_file(tmp_path / "a")
    (folder / "model.data").rename(tmp_path / "secret")
    (folder / "model.data").symlink_to(tmp_path / "secret")
    with pytest.raises(ArtefactError, match="tensor weights: expected a file beside the graph"):
        external.read(folder)


def tensor(name: str, width: int) -> dict[str, Any]:
    return {"name": name, "dtype": "float32", "shape": [width]}


@pytest.mark.parametrize(
    ("model", "signature", "said"),
    [
        (logistic(end="Run", domain="com.example"), {}, "expected operators of ONNX, got com.example.Run"),
        (inside_of_a_branch(), {}, "expected operators of ONNX, got com.example.Run"),
        (logistic(rows=4), {}, "input numbers: expected a first axis of any length, got 4"),
        (logistic(), {"output": tensor("y", 1)}, r"output: expected output float32\[1\] for binary, got y"),
        (logistic(), {"inputs": [tensor("n", 7)]}, r"expected numbers float32\[7\], as the features make, got n "),
        (logistic(), {"inputs": "numbers"}, "inputs: expected a list, got 'numbers'"),
        (logistic(), {"inputs": [{"name": "numbers"}]}, "without the axis of rows"),
        (logistic(), {"features": [{"encoder": "number", "name": "period"}]}, "as workload.yaml declares, got"),
        (logistic(), {"features": "all"}, "features: expected a list of encoders, got 'all'"),
    ],
)  # fmt: skip
def test_what_the_workload_cannot_use_is_refused(tmp_path: Path, model: Any, signature: Any, said: str) -> None:
    with pytest.raises(ArtefactError, match=said):
        check(write(tmp_path, model, copy.deepcopy(SIGNATURE) | signature))


def test_bytes_that_are_no_graph_and_no_json_are_refused(tmp_path: Path) -> None:
    write(tmp_path, logistic())
    (tmp_path / "model.onnx").write_bytes(b"\x80\x04not a graph")
    with pytest.raises(ArtefactError, match="expected an ONNX graph"):
        external.read(tmp_path)
    write(tmp_path, logistic())
    (tmp_path / "signature.json").write_text("{")
    with pytest.raises(ArtefactError, match="expected JSON"):
        check(tmp_path)
    (tmp_path / "signature.json").unlink()
    with pytest.raises(ArtefactError, match="there is no signature"):
        external.read(tmp_path)


def test_encoders_that_learn_must_be_declared(tmp_path: Path) -> None:
    """`intents` reads text by pieces that are learnt from rows: the graph's numbers mean nothing without them."""
    folder = write(tmp_path, logistic())
    with pytest.raises(ArtefactError, match="features: expected the encoders by which the graph was fed"):
        check(folder, "intents")


def test_declared_encoders_are_those_that_feed_the_graph(tmp_path: Path) -> None:
    declared = encoders.declare(ELECTRICITY.prediction.features, CONTRACT.rows)
    signature = SIGNATURE | {"features": json.loads(json.dumps(encoders.to_documents(declared)))}
    model = external.read(write(tmp_path, logistic(), signature))
    assert external.features_of(model, ELECTRICITY, CONTRACT) == declared


def test_files_that_were_changed_on_their_way_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="expected the files that were registered"):
        external.read(write(tmp_path, logistic()), approved="0" * 64)
