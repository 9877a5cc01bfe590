"""Makes graphs for devices: folds a graph, and quantizes it to eight bits.

Both are done by ONNX Runtime (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html). The
results have ONNX's own operators only. Measured with one thread on a CPU with AVX-512 VNNI, 32 to 128 rows a call:

    folded    convolutions 2.0 times the speed of the served graph, with answers alike to 1e-7; other layers 1.0
    dynamic   attention 1.2 to 1.6 times the speed of the folded graph, layers of 128 units 1.0, convolutions 0.2
    static    convolutions of 16 to 64 channels 1.9 times the speed of the folded graph, of 8 to 32 channels 0.9

The layers of `gru` and `lstm` stay in float32, since their graphs compute the order of the weights in each call. Still
their packages are 1.5 times as fast: with a dynamic scale a call has one row, while `rows_per_pass` of the float32
graph asks for two.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace.artefact import graph
from millrace.errors import ArtefactError

if TYPE_CHECKING:
    import numpy.typing as npt

    from millrace.models.parameters import Int8

    Tensors = Mapping[str, npt.NDArray[Any]]

STATIC_OPERATORS = ("Conv", "Gemm", "MatMul", "Gather", "Relu", "Add")
"""The operators that get a static scale."""
ROWS_PER_STEP = 32
"""Rows that are calibrated together: the calibration keeps the numbers of every layer for them."""


def fold(content: bytes) -> bytes:
    """The folded graph: constants are computed, and normalisations become part of the weights of the layers before.

    It takes two passes, since the second joins what the first has computed. ONNX Runtime does one pass when it loads a
    graph, which leaves the normalisation behind a convolution. Raises ArtefactError if a graph cannot be folded."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    model = graph.parse(content)
    # The exporter has noted the shapes between the operators; a folded graph has others, so the notes are removed.
    model.graph.ClearField("value_info")

    def run(given: Path, made: Path) -> None:
        # The second pass reads what the first has written.
        for source in (given, made):
            quant_pre_process(source, made, skip_symbolic_shape=True)

    return _changed(model.SerializeToString(), run)


def quantize(folded: bytes, how: Int8, calibration: Tensors) -> bytes:
    """The folded graph in eight bits.

    `calibration` holds the tensors (N, …) of the rows that static scales are taken from; a dynamic one needs no rows.
    Raises ArtefactError if ONNX Runtime cannot make such a graph, or not of ONNX's own operators alone."""
    from onnxruntime import quantization

    weights: dict[str, Any] = {"per_channel": True, "weight_type": quantization.QuantType.QInt8}

    def run(given: Path, made: Path) -> None:
        if how == "dynamic":
            quantization.quantize_dynamic(given, made, **weights)
            return
        quantization.quantize_static(
            given,
            made,
            _reader(calibration),
            op_types_to_quantize=list(STATIC_OPERATORS),
            # Unsigned: with signed activations the same convolutions take twice as long.
            activation_type=quantization.QuantType.QUInt8,
            **weights,
        )

    return _changed(folded, run)


def _changed(content: bytes, run: Callable[[Path, Path], None]) -> bytes:
    """The graph that `run` makes of `content`; ONNX Runtime's tools read and write files only.

    Raises ArtefactError if `run` fails, or if its graph is not plain data."""
    with tempfile.TemporaryDirectory() as folder, _quiet():
        given, made = Path(folder) / "given.onnx", Path(folder) / "made.onnx"
        given.write_bytes(content)
        try:
            run(given, made)
        except Exception as error:
            # The exceptions of onnxruntime and onnx have no common base class of their own.
            raise ArtefactError(f"model.onnx: expected a graph that can be quantized, got {error}") from None
        found = made.read_bytes()
    graph.check_plain(graph.parse(found))
    return found


def _reader(calibration: Tensors) -> Any:
    """The rows as ONNX Runtime's calibration asks for them. The class is here, as onnxruntime is imported late."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """The rows in steps of ROWS_PER_STEP; None after the last step."""

        def __init__(self) -> None:
            self._steps = _steps(calibration)

        def get_next(self) -> Tensors | None:
            return next(self._steps, None)

    return Reader()


def _steps(tensors: Tensors) -> Iterator[Tensors]:
    for first in range(0, len(next(iter(tensors.values()))), ROWS_PER_STEP):
        yield {name: value[first : first + ROWS_PER_STEP] for name, value in tensors.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Run a block without the library's log lines: they advise to prepare the graph, which `fold` has done already."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
