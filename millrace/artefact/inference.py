"""A model artefact that answers: ONNX Runtime on one thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from millrace.errors import ArtefactError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.artefact.artefact import Artefact
    from millrace.features.signature import TensorSpec

    Tensors = Mapping[str, npt.NDArray[Any]]

BLOCK_ROWS = 512
"""Rows per pass: measured best for rows per second of CPU; small enough to stay in the cache."""
OUTPUT = "output"
TYPES = {"float32": "tensor(float)", "int64": "tensor(int64)", "uint8": "tensor(uint8)"}
"""ONNX Runtime's words for the types of a signature."""


class Model:
    """The signature's tensors in, the answer's numbers out.

    Raises ArtefactError when the graph is no valid one or takes other tensors than the description says."""

    def __init__(self, artefact: Artefact) -> None:
        import onnxruntime

        self.description = artefact.description
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(artefact.onnx, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            # onnxruntime's classes have no common one of their own.
            raise ArtefactError(f"model.onnx: expected a graph that can be run, got {error}") from None
        given = sorted((one.name, one.type, tuple(one.shape[1:])) for one in self._session.get_inputs())
        expected = sorted(map(_input, self.description.signature))
        outputs = [one.name for one in self._session.get_outputs()]
        if given != expected or outputs != [OUTPUT]:
            raise ArtefactError(
                f"model.onnx: expected inputs {expected} and the output {OUTPUT}, got {given} and {outputs}"
            )

    def outputs(self, tensors: Tensors) -> npt.NDArray[np.float32]:
        """The answer's numbers (N, W) for the tensors (N, …) of the signature, as `task.answers` takes them."""
        import numpy as np

        rows = len(next(iter(tensors.values())))
        if rows <= BLOCK_ROWS:
            found: npt.NDArray[np.float32] = self._session.run((OUTPUT,), tensors)[0]
            return found
        blocks = [
            self._session.run((OUTPUT,), {name: value[at : at + BLOCK_ROWS] for name, value in tensors.items()})[0]
            for at in range(0, rows, BLOCK_ROWS)
        ]
        return np.concatenate(blocks)


def _input(spec: TensorSpec) -> tuple[str, str, tuple[int | None, ...]]:
    return spec.name, TYPES[spec.dtype], spec.shape
