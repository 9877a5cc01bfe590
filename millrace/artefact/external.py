"""Reads an external model, one that was not trained here: an ONNX graph, and the signature that its maker declares.

    before.onnx       optional: the signature's tensors in, those that model.onnx takes out
    model.onnx        the signature's tensors in, the task's numbers out; its data files may lie beside it
    after.onnx        optional: what model.onnx gives in, the task's numbers out
    signature.json    {"inputs": [{"name": "numbers", "dtype": "float32", "shape": [7]}],
                       "output": {"name": "output", "dtype": "float32", "shape": [1]},
                       "features": [{"encoder": "category", "name": "job", "words": ["clerk", "cook"], …}, …]}

`features` are the encoders that fed the graph when its maker trained it, in the form of an artefact's model.json. They
may be left out if no encoder of the workload learns from rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from millrace.artefact import graph
from millrace.artefact.artefact import (
    EXTERNAL,
    MEMBERS,
    OUTPUT,
    Artefact,
    Description,
    Digests,
    digest,
    digest_of,
    digests_of,
)
from millrace.artefact.rows_per_pass import RowsPerPass
from millrace.contract.schema import Contract
from millrace.errors import ArtefactError
from millrace.features import catalogue as encoders
from millrace.features.catalogue import Features
from millrace.tasks.task import Task
from millrace.workload.declaration import Workload

GRAPH, SIGNATURE = "model.onnx", "signature.json"
PARTS = ("before.onnx", GRAPH, "after.onnx")
"""Graphs that are one: what each gives is what the next one takes, by name."""
Tensor = tuple[str, str, tuple[int | None, ...]]
"""Name, type and shape of a tensor, without the axis of rows."""


@dataclass(frozen=True, kw_only=True)
class ExternalModel:
    """The files as they were read, by name; each graph contains the tensors of its data files."""

    contents: Mapping[str, bytes]

    @cached_property
    def onnx(self) -> bytes:
        """The graph of all parts. Raises ArtefactError for parts that do not fit together."""
        parts = {name: self.contents[name] for name in PARTS if name in self.contents}
        return parts[GRAPH] if len(parts) == 1 else graph.joined(parts)

    @property
    def digest(self) -> str:
        """One SHA-256 over all files, as `digest_of` makes it."""
        return digest_of(digests_of(self.contents))


def read(folder: Path, *, approved: str = "") -> ExternalModel:
    """The model in `folder`, with the tensors of the graph's data files inside the graph.

    `approved` is the digest that was registered, empty to compare none. Raises ArtefactError for a file that is missing
    or too large, for another digest, for a graph that is not plain data, and for one that takes a fixed number of
    rows."""
    for name in (GRAPH, SIGNATURE):
        if not (folder / name).is_file():
            raise ArtefactError(f"{folder}: expected {GRAPH} and {SIGNATURE}, there is no {name}")
    parts = {name: graph.inlined(folder / name) for name in PARTS if (folder / name).is_file()}
    found = ExternalModel(contents={**parts, SIGNATURE: (folder / SIGNATURE).read_bytes()})
    for name, content in (*found.contents.items(), ("the graphs as one", found.onnx)):
        if len(content) > (most := MEMBERS["model.json" if name == SIGNATURE else "model.onnx"]):
            raise ArtefactError(f"{name}: expected at most {most} bytes, got {len(content)}")
    if approved and found.digest != approved:
        raise ArtefactError(f"{folder}: expected the files that were registered, digest {approved}, got {found.digest}")
    model = graph.parse(found.onnx)
    graph.check_plain(model)
    graph.check_rows_axis(model)
    return found


def features_of(model: ExternalModel, workload: Workload, contract: Contract) -> Features:
    """The workload's encoders, with what they learnt according to the maker's signature.

    Raises ArtefactError if the signature has other features than the workload declares, or other tensors than these
    features make, or if it leaves out encoders that learn from rows."""
    document = _document(model.contents[SIGNATURE])
    declared = encoders.declare(workload.prediction.features, contract.rows)
    given = document.get("features")
    features = declared if given is None else _features(given, declared)
    # An encoder that learns leaves sizes open until it has learnt. So an open size means that the signature should have
    # said what the encoder learnt.
    signature = encoders.signature(features)
    if unknown := [one.name for one in features if None in (*one.spec.shape, *one.spec.cardinalities)]:
        lacking = "the encoders by which the graph was fed, since they learn from rows"
        raise ArtefactError(f"{SIGNATURE}: features: expected {lacking}, got none of {', '.join(unknown)}")
    expected: list[Tensor] = [(one.name, one.dtype, tuple(one.shape)) for one in signature]
    if (came := [_tensor(one, "inputs") for one in _list(document, "inputs")]) != expected:
        raise ArtefactError(f"{SIGNATURE}: inputs: expected {_say(expected)}, as the features make, got {_say(came)}")
    return features


def check_output(model: ExternalModel, task: Task) -> None:
    """Raise ArtefactError if the signature declares another output than the one that the task's answers are made of."""
    expected = (OUTPUT, "float32", (task.objective.width,))
    came = _tensor(_document(model.contents[SIGNATURE]).get("output"), "output")
    if came != expected:
        raise ArtefactError(f"{SIGNATURE}: output: expected {_say([expected])} for {task.kind}, got {_say([came])}")


def artefact_of(
    model: ExternalModel,
    *,
    features: Features,
    task: Task,
    label: str,
    links: Digests,
    rows_per_pass: RowsPerPass | None = None,
) -> Artefact:
    """The artefact of the external model, like the one that a training writes, so that all later steps are the same.

    `links` are the digests of the run that registers it. The artefact has no training curves and no models of earlier
    days, its temperature is 1, and its weights are the tensors of the graph."""
    from safetensors.numpy import save

    weights = save(graph.weights(graph.parse(model.onnx)))
    return Artefact(
        description=Description(
            family=EXTERNAL,
            parameters={"digest": model.digest},
            features=features,
            task=task,
            label=label,
            temperature=1.0,
            digests=replace(links, weights=digest(weights), onnx=digest(model.onnx)),
            torch="",
            rows_per_pass=rows_per_pass or RowsPerPass(),
            walk_forward=(),
        ),
        weights=weights,
        onnx=model.onnx,
        history=b"[]",
    )


def _document(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"{SIGNATURE}: expected JSON, got {error}") from None
    if not isinstance(document, dict) or not {"inputs", "output"} <= document.keys():
        raise ArtefactError(f"{SIGNATURE}: expected an object with inputs, output and features, got {document!r:.200}")
    return document


def _list(document: dict[str, Any], name: str) -> list[Any]:
    found = document[name]
    if not isinstance(found, list):
        raise ArtefactError(f"{SIGNATURE}: {name}: expected a list, got {found!r:.200}")
    return found


def _tensor(value: Any, field: str) -> Tensor:
    try:
        return str(value["name"]), str(value["dtype"]), tuple(value["shape"])
    except (TypeError, KeyError):
        expected = '{"name": …, "dtype": …, "shape": […]} without the axis of rows'
        raise ArtefactError(f"{SIGNATURE}: {field}: expected {expected}, got {value!r:.200}") from None


def _features(given: Any, declared: Features) -> Features:
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise ArtefactError(f"{SIGNATURE}: features: expected a list of encoders, got {given!r:.200}")
    found = encoders.from_documents(given)
    # Same encoders, names and order as declared; what they learnt is the maker's.
    names = [(one.kind, one.name) for one in declared]
    if (came := [(one.kind, one.name) for one in found]) != names:
        raise ArtefactError(f"{SIGNATURE}: features: expected {names}, as workload.yaml declares, got {came}")
    return found


def _say(tensors: Sequence[Tensor]) -> str:
    return ", ".join(f"{name} {dtype}{list(shape)}" for name, dtype, shape in tensors)
