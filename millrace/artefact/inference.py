"""Answers with a model artefact, by ONNX Runtime on one thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from millrace.artefact.artefact import DISTANCE, OUTPUT, PARTS, Artefact
from millrace.artefact.batch import LIKENESS
from millrace.errors import ArtefactError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Tensors = Mapping[str, npt.NDArray[Any]]

EMBEDDING = "embedding"
"""The name of what enters the last layer of the network, in the names of its coordinates."""
ONNX_TYPES = {"float32": "tensor(float)", "int64": "tensor(int64)", "uint8": "tensor(uint8)"}
"""ONNX Runtime's names for the types of a signature."""


class Model:
    """A loaded model: the signature's tensors in, the answer's numbers out.

    Its constructor raises ArtefactError if the graph is not valid, or if it has other inputs or another output than
    the description says."""

    def __init__(self, artefact: Artefact) -> None:
        import onnxruntime

        self.description = artefact.description
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(artefact.onnx, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            # onnxruntime's exceptions have no base class of their own.
            raise ArtefactError(f"model.onnx: expected a graph that can be run, got {error}") from None
        given = sorted((one.name, one.type, tuple(one.shape[1:])) for one in self._session.get_inputs())
        expected = sorted((one.name, ONNX_TYPES[one.dtype], one.shape) for one in self.description.signature)
        outputs = [(one.name, one.type, tuple(one.shape[1:])) for one in self._session.get_outputs()]
        answer = (OUTPUT, ONNX_TYPES["float32"], (self.description.task.objective.width,))
        self.parts = PARTS.get(self.description.parameters.get("trees", ""), ())
        wanted = [answer, *((name, *answer[1:]) for name in self.parts)]
        self.measures_likeness = bool(self.description.held_distances)
        if self.measures_likeness:
            # It has as many coordinates as the network has numbers before its last layer, up to a few.
            wanted.append((DISTANCE, ONNX_TYPES["float32"], outputs[-1][2]))
        if given != expected or outputs != wanted:
            raise ArtefactError(
                f"model.onnx: expected inputs {expected} and outputs {wanted}, got {given} and {outputs}"
            )

    def outputs(self, tensors: Tensors, part: str = OUTPUT) -> npt.NDArray[np.float32]:
        """The numbers of the answers (N, W) for the tensors (N, …) of the signature; `task.answers` takes them.

        With one of `parts` they are those of that part alone.

        A row's answer has the same bits alone and among other rows, wherever it stands. Raises ArtefactError if the
        graph answers another number of rows."""
        return self._outputs(tensors, (part,))[0]

    def with_likeness(self, tensors: Tensors) -> tuple[npt.NDArray[np.float32], dict[str, npt.NDArray[np.float64]]]:
        """The same, and by name what is measured of each row (N): LIKENESS, and its coordinates `embedding.0` to
        `embedding.7`, with four decimals.

        LIKENESS is the share of the held-out rows that are at least as far out, 1 / (n + 1) at least, where n is the
        number of held-out rows. Nothing is measured where the graph has no distance."""
        import numpy as np

        if not self.measures_likeness:
            return self.outputs(tensors), {}
        output_NW, measured_NS = self._outputs(tensors, (OUTPUT, DISTANCE))
        far_N, *coordinates = measured_NS.T.astype(np.float64)
        held = np.asarray(self.description.held_distances)
        nearer_N = np.searchsorted(held, far_N, side="left")
        found = {LIKENESS: (1 + len(held) - nearer_N) / (1 + len(held))}
        return output_NW, found | {f"{EMBEDDING}.{place}": one.round(4) for place, one in enumerate(coordinates)}

    def _outputs(self, tensors: Tensors, names: tuple[str, ...]) -> list[npt.NDArray[np.float32]]:
        import numpy as np

        rows, most = len(next(iter(tensors.values()))), self.description.rows_per_pass.most
        # Never more than `most` rows in one pass, and in `_pass` never fewer than `fewest`.
        if rows <= most:
            return self._pass(tensors, rows, names)
        blocks = [
            self._pass({name: value[at : at + most] for name, value in tensors.items()}, min(most, rows - at), names)
            for at in range(0, rows, most)
        ]
        return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]

    def _pass(self, tensors: Tensors, rows: int, names: tuple[str, ...]) -> list[npt.NDArray[np.float32]]:
        """The answers of one pass through the graph; too few rows are filled up with copies of the last one."""
        import numpy as np

        if lacking := max(0, self.description.rows_per_pass.fewest - rows):
            tensors = {
                name: np.concatenate([value, np.repeat(value[-1:], lacking, axis=0)]) for name, value in tensors.items()
            }
        found: list[npt.NDArray[np.float32]] = self._session.run(names, tensors)
        if len(found[0]) != rows + lacking:
            raise ArtefactError(f"model.onnx: expected answers to {rows + lacking} rows, got {len(found[0])}")
        return [one[:rows] for one in found]
