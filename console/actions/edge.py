"""Make the edge package of a version: its graph with folded constants, in float32 or in eight bits.

An int8 graph is compared with the float32 graph on the test rows. Axes: N rows, W numbers of an answer."""

from __future__ import annotations

import io
import json
import statistics
import tempfile
import time
import zipfile
from importlib.metadata import version as installed
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from millrace.artefact import graph
from millrace.artefact.artefact import ARCHIVE, Artefact, read_archive
from millrace.artefact.edge import ExportedVersion, GraphFigures, Int8Comparison, Program, with_graph, write_package
from millrace.artefact.inference import Model
from millrace.artefact.int8 import fold, quantize
from millrace.artefact.pretrained import PretrainedFile, packed, read_pretrained
from millrace.aws.objects import download
from millrace.console.environment import Environment
from millrace.console.queries.documents import find_package, signing_key
from millrace.console.queries.replay import read_pinned
from millrace.datasets.examples import LABEL, Examples
from millrace.errors import ArtefactError, ConfigurationError
from millrace.features.catalogue import encode, images
from millrace.features.tokens import START
from millrace.models.catalogue import FAMILIES
from millrace.models.parameters import Int8
from millrace.names import WorkloadNames
from millrace.release.signatures import check_signature
from millrace.workload.load import SUITE

Output = npt.NDArray[np.float32]

CALIBRATION_ROWS = 256
"""How many validation rows the int8 scales are taken from, evenly spread."""
TEST_ROWS = 20_000
"""At most so many test rows are compared, evenly spread: each row is a call of its own."""


def export_version(
    environment: Environment, names: WorkloadNames, version: str, folder: Path, *, int8: bool, max_loss: float
) -> dict[str, Any]:
    """Write the package of a version to `folder`; returns the content of its package.json.

    `max_loss` is a share: 0.01 allows the int8 graph an error on the test rows 1% above that of float32.
    Raises ArtefactError if the version's signature is missing or wrong, if the model is not the one that the registry
    approved, and if the error of the int8 graph grew by more than `max_loss`."""
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
    if not int8:
        return write_package(folder, artefact, source, program=program(artefact))
    rows = read_pinned(s3, names, package.metadata["run"], artefact.description.features).examples
    return write_int8(folder, artefact, source, rows, max_loss=max_loss)


def write_int8(
    folder: Path, artefact: Artefact, source: ExportedVersion, rows: Examples, *, max_loss: float
) -> dict[str, Any]:
    """Quantize the folded graph, compare both graphs on the test rows, and write the package.

    Raises ArtefactError if the error grew by more than `max_loss`, a share of the float32 error."""
    how, features = method_of(artefact), artefact.description.features
    calibration = _spread(rows.part(rows.parts.validation), CALIBRATION_ROWS)
    made = with_graph(artefact, quantize(artefact.onnx, how, encode(features, calibration)), how)
    compared = compare(artefact, made, _spread(rows.part(rows.parts.test), TEST_ROWS))
    # Written as `not <=`, so that a loss of NaN is refused too.
    if not compared.loss <= max_loss:
        raise ArtefactError(
            f"version {source.version}: int8: expected an error on the test rows at most {max_loss:.1%} above that of "
            f"float32, {compared.float32.error:.4g}, got {compared.int8.error:.4g} ({compared.loss:+.1%})"
        )
    return write_package(folder, made, source, program=program(made), how=how, compared=compared)


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


def method_of(artefact: Artefact) -> Int8:
    """How to quantize the graph: as its model family declares it.

    A graph that was made elsewhere has no family. It is `static` if it has convolutions, else `dynamic`."""
    if family := FAMILIES.get(artefact.description.family):
        return family.int8
    has_convolutions = any(node.op_type == "Conv" for node in graph.parse(artefact.onnx).graph.node)
    return "static" if has_convolutions else "dynamic"


def compare(before: Artefact, after: Artefact, test: pa.Table) -> Int8Comparison:
    """Error, metrics, milliseconds per call and bytes of both graphs, on the rows of `test`, which have labels.

    Row by row, each graph is called in turn. So both meet the same load of the machine."""
    task, models = before.description.task, (Model(before), Model(after))
    target_N, tensors = task.targets(test[LABEL]), encode(before.description.features, test)
    seconds: tuple[list[float], list[float]] = ([], [])
    found: tuple[list[Output], list[Output]] = ([], [])
    # `found` and `seconds` are by graph: index 0 is `before`, index 1 is `after`.
    for number in range(len(test)):
        row = {name: value[number : number + 1] for name, value in tensors.items()}
        for at, model in enumerate(models):
            began = time.perf_counter()
            found[at].append(model.outputs(row))
            seconds[at].append(time.perf_counter() - began)
    figures = [
        GraphFigures(
            error=float(task.errors(output_NW, target_N).mean()),
            metrics=task.metrics(output_NW, target_N),
            ms=statistics.median(times) * 1000,
            bytes=len(artefact.onnx),
        )
        for artefact, outputs, times in zip((before, after), found, seconds, strict=True)
        # A loop over one item: it names the joined outputs, so that they are made once for both uses.
        for output_NW in [np.concatenate(outputs)]
    ]
    return Int8Comparison(rows=len(test), float32=figures[0], int8=figures[1])


def _spread(table: pa.Table, most: int) -> pa.Table:
    """At most `most` rows of the table, evenly spread."""
    if len(table) <= most:
        return table
    return table.take(np.linspace(0, len(table) - 1, most, dtype=np.int64))


def make_part(table: Path, tokenizer: Path, output: Path, *, name: str, source: str, licence: str) -> PretrainedFile:
    """Write the part, and return its header.

    `table` is a safetensors file with one table of vectors, of which row k belongs to the token k. `tokenizer` is a
    tokenizer.json with byte-pair encoding whose words begin with `▁`. Special tokens such as `<s>` are left out.

    Raises ConfigurationError for other files. The header is refused, as ArtefactError, without a name or a licence."""
    import numpy as np
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
