"""An edge package: a folder with a version's graph, what its rows and answers are, and how it was made and measured.

model.onnx     the graph, of float32 or int8
model.json     what `Description` says: encoders, task, rows per pass, and the graph's digest
package.json   the version it came from, the digests of both files, and the comparison with float32
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace.artefact.artefact import Artefact, description_document, digest
from millrace.artefact.rows_per_pass import RowsPerPass
from millrace.errors import ArtefactError

if TYPE_CHECKING:
    from millrace.models.parameters import Int8

PACKAGE_FILE = "package.json"


@dataclass(frozen=True, kw_only=True)
class GraphFigures:
    """One graph on the test rows, a row in each call, by one thread."""

    error: float
    """The task's mean error."""
    metrics: Mapping[str, float | None]
    ms: float
    """Of a call, the median."""
    bytes: int
    """Of the graph."""


@dataclass(frozen=True, kw_only=True)
class Int8Comparison:
    """Both graphs on the same rows, in turns."""

    rows: int
    float32: GraphFigures
    int8: GraphFigures

    @property
    def loss(self) -> float:
        """By how much the error grew, as a share of the error; negative where it fell."""
        before, after = self.float32.error, self.int8.error
        if before == after:
            return 0.0
        return after / before - 1 if before else float("inf")

    @property
    def speed(self) -> float:
        """How many times as fast as float32."""
        return self.float32.ms / self.int8.ms

    @property
    def size(self) -> float:
        """The graph's size as a share of that of float32."""
        return self.int8.bytes / self.float32.bytes

    def to_document(self) -> dict[str, Any]:
        return {**asdict(self), "loss": self.loss, "speed": self.speed, "size": self.size}


@dataclass(frozen=True, kw_only=True)
class ExportedVersion:
    """The version that a package is made of."""

    workload: str
    version: str
    model_digest: str


def with_graph(artefact: Artefact, onnx: bytes, how: Int8 | None = None) -> Artefact:
    """The artefact with another graph in place of its own; `how` it was quantized, if it was.

    A dynamic scale is that of all rows of a call: they go one by one, so that an answer does not depend on the rows
    beside it."""
    description = artefact.description
    rows = RowsPerPass(fewest=1, most=1) if how == "dynamic" else description.rows_per_pass
    digests = replace(description.digests, onnx=digest(onnx))
    return replace(artefact, onnx=onnx, description=replace(description, digests=digests, rows_per_pass=rows))


def write_package(
    folder: Path,
    artefact: Artefact,
    source: ExportedVersion,
    *,
    how: Int8 | None = None,
    compared: Int8Comparison | None = None,
) -> dict[str, Any]:
    """What package.json says; `how` and `compared` are those of an int8 graph.

    Raises ArtefactError where something is in the folder."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArtefactError(f"{folder}: expected a folder that is empty or not there, got one with files, or a file")
    described = json.dumps(description_document(artefact.description), indent=1).encode()
    files = {"model.onnx": artefact.onnx, "model.json": described}
    document = {
        **asdict(source),
        "precision": "int8" if how else "float32",
        "method": how,
        "digests": {name: digest(content) for name, content in files.items()},
        "compared": compared.to_document() if compared else None,
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (files | {PACKAGE_FILE: json.dumps(document, indent=1).encode()}).items():
        (folder / name).write_bytes(content)
    return document
