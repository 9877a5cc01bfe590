"""Make the edge package of a version: its graph with folded constants, and a program that answers with it."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from importlib.metadata import version as installed
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

import numpy as np

from millrace.artefact.artefact import ARCHIVE, Artefact, read_archive
from millrace.artefact.edge import ExportedVersion, Program, with_graph, write_package
from millrace.artefact.folding import fold
from millrace.artefact.pretrained import PretrainedFile, packed, read_pretrained
from millrace.aws.objects import download
from millrace.console.environment import Environment
from millrace.console.queries.documents import find_package, signing_key
from millrace.errors import ConfigurationError
from millrace.features.catalogue import images
from millrace.features.tokens import START
from millrace.names import WorkloadNames
from millrace.release.signatures import check_signature
from millrace.workload.load import SUITE


def export_version(environment: Environment, names: WorkloadNames, version: str, folder: Path) -> dict[str, Any]:
    """Write the package of a version to `folder`; returns the content of its package.json.

    Raises ArtefactError if the version's signature is missing or wrong, and if the model is not the one that the
    registry approved."""
    package = find_package(environment, names, version)
    s3 = environment.client("s3")
    check_signature(s3, signing_key(environment), names, package)
    # The signature was checked above. The archive is checked against the digest that the registry approved.
    with tempfile.TemporaryDirectory() as root:
        archive = Path(root) / ARCHIVE
        download(s3, package.model_data_url, archive)
        registered = read_archive(archive, approved=package.metadata.get("model_digest", ""))
    artefact = with_graph(registered, fold(registered.onnx))
    source = ExportedVersion(workload=names.workload, version=package.version, model_digest=registered.digest)
    return write_package(folder, artefact, source, program(artefact))


def program(artefact: Artefact) -> Program:
    """The code that answers with the artefact's graph: its package in `millrace.jobs.serving` and all of ours."""
    # It follows imports of our modules alone, whatever lies beside them.
    others = {one.name.partition(".")[0] for one in SUITE.iterdir()} - {"millrace"}
    finder = ModuleFinder(path=[str(SUITE)], excludes=others)
    finder.run_script(str(SUITE / "millrace" / "jobs" / "serving" / "package.py"))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        files = (getattr(module, "__file__", None) for module in finder.modules.values())
        for path in sorted(Path(file) for file in files if file):
            name = "__main__.py" if path.name == "package.py" else str(path.relative_to(SUITE))
            # Without a time, so that the same version is the same bytes.
            made.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_DEFLATED)
    wanted = ["numpy", "onnxruntime", *(["pillow"] if images(artefact.description.features) else [])]
    return Program(archive=archive.getvalue(), requires={name: installed(name) for name in wanted})


def make_part(table: Path, tokenizer: Path, output: Path, *, name: str, source: str, licence: str) -> PretrainedFile:
    """Write the part, and return its header.

    `table` is a safetensors file with one table of vectors, of which row k belongs to the token k. `tokenizer` is a
    tokenizer.json with byte-pair encoding whose words begin with `▁`. Special tokens such as `<s>` are left out.

    Raises ConfigurationError for other files. The header is refused, as ArtefactError, without a name or a licence."""
    from safetensors.numpy import load_file

    vectors = [one for one in load_file(table).values() if one.ndim == 2 and one.dtype in (np.float16, np.float32)]
    if len(vectors) != 1:
        raise ConfigurationError(
            where=str(table), field="(tensors)", expected="one table of vectors, float16 or float32", came=len(vectors)
        )
    ids = _ids(json.loads(tokenizer.read_text()), str(tokenizer))
    # Pieces have the order in which pairs are merged, single characters first: the encoder's ids are ranks.
    pieces = sorted((one for one in ids if not _is_special(one)), key=lambda one: (len(one) > 1, ids[one]))
    if (most := max(ids.values())) >= len(vectors[0]):
        expected = f"at least {most + 1} vectors, one for each token"
        raise ConfigurationError(where=str(table), field="(rows)", expected=expected, came=len(vectors[0]))
    kept = vectors[0][[ids[one] for one in pieces]]
    said = {"name": name, "source": source, "licence": licence}
    dtype, shape = "F16" if kept.dtype == np.float16 else "F32", (len(pieces), kept.shape[1])
    content = packed(
        kept.astype(kept.dtype.newbyteorder("<")).tobytes(), dtype=dtype, shape=shape, said=said, pieces=pieces
    )
    header = read_pretrained(content, where=str(output))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(content)
    return header


def _ids(document: dict[str, Any], where: str) -> dict[str, int]:
    model = document.get("model", {})
    vocabulary: dict[str, int] = model.get("vocab", {}) if model.get("type") == "BPE" else {}
    if not any(piece.startswith(START) and len(piece) > 1 for piece in vocabulary):
        expected = f"byte-pair encoding (BPE) whose words begin with {START}"
        raise ConfigurationError(where=where, field="model", expected=expected, came=model.get("type"))
    return vocabulary


def _is_special(piece: str) -> bool:
    """Whether it stands for no text: `<s>`, or `<0x0A>`, a byte of a character without a piece."""
    return len(piece) > 2 and piece.startswith("<") and piece.endswith(">")
