"""A model artefact that answers: ONNX Runtime on one thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.errors import ArtefactError
from millrace.features.encoding import width

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.artefact.artefact import Artefact

BLOCK_ROWS = 512
"""Rows per pass: measured best for rows per second of CPU; small enough to stay in the cache."""


class Model:
    """Rows of raw features in, calibrated probabilities out.

    Raises ArtefactError when the graph is no valid one or takes other input than the description says."""

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
        given = [(one.name, len(one.shape), one.shape[-1]) for one in self._session.get_inputs()]
        expected = [(self.description.input.name, 2, width(self.description.inputs))]
        if given != expected or [one.name for one in self._session.get_outputs()] != ["probability"]:
            raise ArtefactError(f"model.onnx: expected input {expected} and output probability, got {given}")

    def probabilities(self, x_NF: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The probability (N) of class 1 for each row."""
        import numpy as np

        name = self.description.input.name
        blocks = [
            self._session.run(("probability",), {name: x_NF[start : start + BLOCK_ROWS]})[0]
            for start in range(0, len(x_NF), BLOCK_ROWS)
        ]
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
