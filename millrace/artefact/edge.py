"""Writes an edge package: a version's graph and how its encoders are fitted, for a device without a cloud.

model.onnx     the graph, with folded constants
model.json     the `Description`: encoders, task, rows per pass, and the graph's digest
answer.pyz     a program that answers rows with both: Python and the packages that package.json names are all it needs
package.json   the version that the package was made of, the fields of a row, the digests of the other files
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from millrace.artefact.artefact import Artefact, description_document, digest, read_description
from millrace.errors import ArtefactError

PACKAGE_FILE = "package.json"


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


def with_graph(artefact: Artefact, onnx: bytes) -> Artefact:
    """The artefact with the graph `onnx` in place of its own."""
    description = artefact.description
    digests = replace(description.digests, onnx=digest(onnx))
    return replace(artefact, onnx=onnx, description=replace(description, digests=digests))


def write_package(folder: Path, artefact: Artefact, source: ExportedVersion, program: Program) -> dict[str, Any]:
    """Write the files of a package, and return the content of package.json.

    Raises ArtefactError if the folder is not empty."""
    # Checked before anything is written.
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArtefactError(f"{folder}: expected a folder that is empty or not there, got one with files, or a file")
    described = json.dumps(description_document(artefact.description), indent=1).encode()
    files = {"model.onnx": artefact.onnx, "model.json": described, "answer.pyz": program.archive}
    document = {
        **asdict(source),
        "inputs": list(artefact.description.inputs),
        "requires": dict(program.requires),
        "digests": {name: digest(content) for name, content in files.items()},
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
