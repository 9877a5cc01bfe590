"""Graphs for devices: folded, and in eight bits.

Both are ONNX Runtime's own (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html); what comes
out has operators of ONNX only. Measured with one thread on a CPU with AVX-512 VNNI, 32 to 128 rows a call:

    folded    convolutions 2.0 times the speed of the graph as it is served, answers alike to 1e-7; others 1.0
    dynamic   attention 1.2 to 1.6 times the speed of the folded graph, layers of 128 units 1.0, convolutions 0.2
    static    convolutions of 16 to 64 channels 1.9 times, of 8 to 32 channels 0.9

The layers of `gru` and `lstm` stay in float32: their graphs compute the weights' order in each call. Packages of them
gain by the one row of a call that a dynamic scale has, where `rows_per_pass` of float32 asks for two: 1.5 times.
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
ROWS_PER_STEP = 32
"""Of the calibration, which keeps every layer's numbers of a step."""


def fold(content: bytes) -> bytes:
    """The graph with its constants computed and its normalisations in the weights of the layers before them.

    Of two passes the second joins what the first computed: ONNX Runtime does one when it loads a graph, which leaves
    the normalisation behind a convolution. Raises ArtefactError where it cannot."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    model = graph.parse(content)
    # The exporter's notes on shapes contradict those that a folded graph has.
    model.graph.ClearField("value_info")

    def run(given: Path, made: Path) -> None:
        for source in (given, made):
            quant_pre_process(source, made, skip_symbolic_shape=True)

    return _changed(model.SerializeToString(), run)


def quantize(folded: bytes, how: Int8, calibration: Tensors) -> bytes:
    """The folded graph in eight bits; `calibration` holds the tensors (N, …) of rows that a static scale is taken from.

    Raises ArtefactError where ONNX Runtime cannot make one, or none of standard operators."""
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
            # With signed ones the same convolutions take twice as long.
            activation_type=quantization.QuantType.QUInt8,
            **weights,
        )

    return _changed(folded, run)


def _changed(content: bytes, run: Callable[[Path, Path], None]) -> bytes:
    """What `run` makes of the graph, from file to file."""
    with tempfile.TemporaryDirectory() as folder, _quiet():
        given, made = Path(folder) / "given.onnx", Path(folder) / "made.onnx"
        given.write_bytes(content)
        try:
            run(given, made)
        except Exception as error:
            # onnxruntime's and onnx's classes have no common one of their own.
            raise ArtefactError(f"model.onnx: expected a graph that can be quantized, got {error}") from None
        found = made.read_bytes()
    graph.check_plain(graph.parse(found))
    return found


def _reader(calibration: Tensors) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """The rows in steps."""

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
    """Without the library's advice to have done what was done."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
