"""Writes an edge package: a version's graph and how its encoders are fitted, for a device without a cloud.

model.onnx     the graph, in float32 or int8
model.json     the `Description`: encoders, task, rows per pass, and the graph's digest
answer.pyz     a program that answers rows with both: Python and the packages that package.json names are all it needs
package.json   the version that the package was made of, the fields of a row, the digests of the other files, and the
               comparison with float32
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace.artefact.artefact import Artefact, description_document, digest, read_description
from millrace.artefact.rows_per_pass import RowsPerPass
from millrace.errors import ArtefactError

if TYPE_CHECKING:
    from millrace.models.parameters import Int8

PACKAGE_FILE = "package.json"


@dataclass(frozen=True, kw_only=True)
class GraphFigures:
    """The figures of one graph on the test rows, with one row in each call, on one thread."""

    error: float
    """The task's mean error."""
    metrics: Mapping[str, float | None]
    ms: float
    """The median time of a call in milliseconds."""
    bytes: int
    """The size of the graph."""


@dataclass(frozen=True, kw_only=True)
class Int8Comparison:
    """The figures of both graphs on the same rows. They were called in turns, so both met the same load."""

    rows: int
    float32: GraphFigures
    int8: GraphFigures

    @property
    def loss(self) -> float:
        """By how much the error grew, as a share of the error in float32; negative if it fell.

        Infinity if the float32 error is 0 and the other is not."""
        before, after = self.float32.error, self.int8.error
        if before == after:
            return 0.0
        return after / before - 1 if before else float("inf")

    @property
    def speed(self) -> float:
        """How many times as fast the int8 graph is as the float32 graph."""
        return self.float32.ms / self.int8.ms

    @property
    def size(self) -> float:
        """The size of the int8 graph as a share of the size of the float32 graph."""
        return self.int8.bytes / self.float32.bytes

    def to_document(self) -> dict[str, Any]:
        return {**asdict(self), "loss": self.loss, "speed": self.speed, "size": self.size}


@dataclass(frozen=True, kw_only=True)
class ExportedVersion:
    """The version that a package is made of."""

    workload: str
    version: str
    model_digest: str
    """The digest of the archive's members, as the registry keeps it."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """The code that answers with a package."""

    archive: bytes
    """A zip with a `__main__.py`, which Python runs."""
    requires: Mapping[str, str]
    """The packages that it imports, each with the version that the graph was tried with."""


def with_graph(artefact: Artefact, onnx: bytes, how: Int8 | None = None) -> Artefact:
    """The artefact with the graph `onnx` in place of its own; `how` says how that graph was quantized, if it was.

    With dynamic quantization the scale is computed over all rows of a call. So such a graph answers one row at a time:
    otherwise an answer would depend on the rows beside it."""
    description = artefact.description
    rows = RowsPerPass(fewest=1, most=1) if how == "dynamic" else description.rows_per_pass
    digests = replace(description.digests, onnx=digest(onnx))
    return replace(artefact, onnx=onnx, description=replace(description, digests=digests, rows_per_pass=rows))


def write_package(
    folder: Path,
    artefact: Artefact,
    source: ExportedVersion,
    *,
    program: Program,
    how: Int8 | None = None,
    compared: Int8Comparison | None = None,
) -> dict[str, Any]:
    """Write the files of a package, and return the content of package.json.

    `how` and `compared` are given for an int8 graph alone. Raises ArtefactError if the folder is not empty."""
    # Checked before anything is written.
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArtefactError(f"{folder}: expected a folder that is empty or not there, got one with files, or a file")
    described = json.dumps(description_document(artefact.description), indent=1).encode()
    files = {"model.onnx": artefact.onnx, "model.json": described, "answer.pyz": program.archive}
    document = {
        **asdict(source),
        "precision": "int8" if how else "float32",
        "method": how,
        "inputs": list(artefact.description.inputs),
        "requires": dict(program.requires),
        "digests": {name: digest(content) for name, content in files.items()},
        "compared": compared.to_document() if compared else None,
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (files | {PACKAGE_FILE: json.dumps(document, indent=1).encode()}).items():
        (folder / name).write_bytes(content)
    return document


def read_package(folder: Path) -> tuple[Artefact, dict[str, Any]]:
    """The graph and description of a package, and its package.json. Raises ArtefactError for a file that is missing,
    or that is not the one of which package.json has the digest."""
    try:
        package = json.loads((folder / PACKAGE_FILE).read_bytes())
        files = {name: (folder / name).read_bytes() for name in ("model.onnx", "model.json")}
        expected = {name: package["digests"][name] for name in files}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{folder}: expected a package of `millrace export`, got {error!r}") from None
    for name, content in files.items():
        if (came := digest(content)) != expected[name]:
            raise ArtefactError(f"{folder / name}: expected digest {expected[name]}, got {came}")
    description = read_description(files["model.json"], where=str(folder))
    return Artefact(description=description, weights=b"", onnx=files["model.onnx"], history=b""), package
