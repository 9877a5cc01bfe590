"""Reads and checks an ONNX graph as plain data: it must bring no code of its own, and need no file beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace.errors import ArtefactError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
"""The domains of ONNX's own operators. An operator of another domain is custom code."""
SHOWN = 5
"""The most names that an error lists."""
PLAIN = "?biuf"
"""The kinds of numpy arrays that safetensors can hold. Strings and floats of fewer bits stay in the graph alone."""


def parse(content: bytes) -> Any:
    """The graph as onnx's ModelProto. Raises ArtefactError for bytes that are no graph, and for an empty graph."""
    import onnx

    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:
        # Not by its class: that is protobuf's, a package that nothing else here needs to import.
        raise ArtefactError(f"model.onnx: expected an ONNX graph, got {error}") from None
    if not model.graph.node:
        raise ArtefactError("model.onnx: expected an ONNX graph, got one without operators")
    return model


def check_plain(model: Any) -> int:
    """The number of operators in the graph and its subgraphs.

    Raises ArtefactError if an operator is not of ONNX's own domains, if the graph brings functions of its own, and if
    its numbers lie in another file."""
    nodes = list(_nodes(model.graph))
    own = sorted({f"{node.domain}.{node.op_type}" for node in nodes if node.domain not in DOMAINS})
    if own or model.functions:
        came = _few(own) if own else "functions of its own"
        raise ArtefactError(f"model.onnx: expected operators of ONNX, got {came}")
    if outside := [tensor.name or "a constant" for tensor in _tensors(model.graph) if _is_outside(tensor)]:
        raise ArtefactError(f"model.onnx: expected weights inside, got files of its own for {_few(outside)}")
    return len(nodes)


def inlined(path: Path) -> bytes:
    """The graph in `path`, with the tensors of its data files put into it.

    Raises ArtefactError for a data file that is missing, a link, or not below the graph's own folder, and for a graph
    that is too large for one file."""
    import onnx

    model = parse(path.read_bytes())
    outside = [tensor for tensor in _tensors(model.graph) if _is_outside(tensor)]
    for tensor in outside:
        _check_place(tensor, path.parent)
        try:
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
        except (OSError, ValueError, onnx.checker.ValidationError) as error:
            raise ArtefactError(f"model.onnx: tensor {tensor.name}: expected its numbers, got {error}") from None
        # The tensor holds its numbers now, so it must not name a file any more.
        tensor.ClearField("data_location")
        tensor.ClearField("external_data")
    try:
        # A graph without data files keeps its bytes.
        return bytes(model.SerializeToString()) if outside else path.read_bytes()
    except ValueError as error:
        raise ArtefactError(f"model.onnx: expected a graph that fits into one file of 2 GB, got {error}") from None


def joined(parts: Mapping[str, bytes]) -> bytes:
    """One graph of these graphs, by the names of their files: what each gives is what the next one takes, by name.

    Raises ArtefactError if one takes something else, for graphs of different sets of operators, and for graphs in
    graphs: what a branch of an If takes from outside could become the tensor of another part."""
    import onnx

    whole: Any = None
    for file, content in parts.items():
        part = parse(content)
        # What a graph says of the shapes of its tensors may name an end, which then got another name.
        del part.graph.value_info[:], part.metadata_props[:]
        for one in part.opset_import:
            one.domain = "" if one.domain == "ai.onnx" else one.domain  # two names of one set
        if len(list(_nodes(part.graph))) > len(part.graph.node) or not part.opset_import:
            raise ArtefactError(f"{file}: expected no If, Loop and Scan in a graph of several, and a set of operators")
        try:
            # Names inside of a graph are its own: two parts may have weights of the same name.
            part = onnx.compose.add_prefix(part, f"{file}/", rename_inputs=False, rename_outputs=False)
            if whole:
                whole.ir_version = part.ir_version = max(whole.ir_version, part.ir_version)
                taken, given = ([one.name for one in ends] for ends in (part.graph.input, part.graph.output))
                part = onnx.compose.merge_models(whole, part, [(name, name) for name in taken], outputs=given)
        except (AssertionError, TypeError, ValueError, onnx.checker.ValidationError) as error:
            raise ArtefactError(f"{file}: expected a graph that goes on from the one before it, got {error}") from None
        whole = part
    return bytes(whole.SerializeToString())


def weights(model: Any) -> dict[str, npt.NDArray[np.generic]]:
    """The named tensors of the graph by name, for weights.safetensors."""
    import numpy as np
    from onnx import numpy_helper

    try:
        found = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"model.onnx: expected numbers of each tensor, got {error}") from None
    return {name: np.ascontiguousarray(value) for name, value in found.items() if value.dtype.kind in PLAIN}


def check_rows_axis(model: Any) -> None:
    """Raise ArtefactError for an input that takes one fixed number of rows."""
    for given in model.graph.input:
        shape = given.type.tensor_type.shape.dim
        if shape and shape[0].HasField("dim_value"):
            came = shape[0].dim_value
            raise ArtefactError(f"model.onnx: input {given.name}: expected a first axis of any length, got {came}")


def _check_place(tensor: Any, folder: Path) -> None:
    """Raise ArtefactError if the tensor's data file is not a plain file below `folder`; the graph names its path."""
    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    file, home = folder / location, folder.resolve()
    is_name = location and "\0" not in location
    below = is_name and not Path(location).is_absolute() and file.resolve().is_relative_to(home)
    if not below or file.is_symlink():
        expected = "a file beside the graph, in its folder"
        raise ArtefactError(f"model.onnx: tensor {tensor.name}: expected {expected}, got {location!r}")
    if not file.is_file():
        raise ArtefactError(f"model.onnx: tensor {tensor.name}: expected the file {location!r}, there is none")


def _nodes(graph: Any) -> Iterator[Any]:
    """Every operator of the graph. Those of If, Loop and Scan have subgraphs in their attributes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _nodes(inner)


def _tensors(graph: Any) -> Iterator[Any]:
    """Every tensor that the graph holds: its named ones, the constants of its operators, and those of its subgraphs."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            sparse = (attribute.sparse_tensor, *attribute.sparse_tensors)
            yield from (*attribute.tensors, *(part for one in sparse for part in (one.values, one.indices)))
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _tensors(inner)


def _is_outside(tensor: Any) -> bool:
    import onnx

    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


def _few(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
