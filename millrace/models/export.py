"""A predictor as an ONNX graph, by torch's own exporter.

The exporter takes four seconds of CPU and needs shapes only: it runs in a process of its own beside the training, and
the trained weights are put into its graph by name. So nothing in the graph may depend on the values of weights: it is
exported without optimisation, which ONNX Runtime does when it loads the graph.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING

import onnx
from onnx import numpy_helper

from millrace.errors import ArtefactError
from millrace.features.signature import Signature, spec_of
from millrace.tasks.task import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from millrace.models.parameters import Parameters
    from millrace.models.predictor import Predictor

OPSET = 20
"""The first with Gelu as an operator of its own."""
ROWS = 2
"""Rows of the example: with one, the exporter takes the number of rows for a constant."""


class Exporting:
    """A graph under way in another process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def finish(self, state: Mapping[str, Tensor]) -> bytes:
        """The graph with the weights of `state`; waits for the process. Raises ArtefactError when it failed."""
        graph, log = self._process.communicate()
        if self._process.returncode:
            raise ArtefactError(f"model.onnx: the export failed: {log.decode(errors='replace')[-2000:]}")
        return with_weights(graph, state)


@contextmanager
def exporting(parameters: Parameters, signature: Signature, objective: Objective) -> Iterator[Exporting]:
    """The export of an untrained predictor, begun at once; it ends with the block."""
    kind = type(parameters)
    given = {
        "module": kind.__module__,
        "parameters": kind.__qualname__,
        "values": parameters.model_dump(mode="json"),
        "signature": [asdict(spec) for spec in signature],
        "objective": asdict(objective),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "millrace.models.export"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(given).encode())
            process.stdin.close()
            process.stdin = None  # `communicate` would flush it
            yield Exporting(process)
        finally:
            process.kill()


def export(predictor: Predictor, signature: Signature) -> bytes:
    """The predictor as ONNX: the signature's tensors in, `output` (N, W) out, any N."""
    import torch

    class Positional(torch.nn.Module):
        """Torch 2.13's exporter does not match dynamic shapes with `**tensors`; one dictionary it does."""

        def __init__(self) -> None:
            super().__init__()
            self.predictor = predictor.cpu()

        def forward(self, tensors: dict[str, Tensor]) -> Tensor:
            found: Tensor = self.predictor(**tensors)
            return found

    rows = torch.export.Dim("rows")
    example = {
        spec.name: torch.zeros((ROWS, *(size or 1 for size in spec.shape)), dtype=getattr(torch, spec.dtype))
        for spec in signature
    }
    with warnings.catch_warnings():
        # torch 2.13's exporter warns of a class of its own (`LeafSpec`); this goes with a torch that does not.
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.onnx.export(
            Positional().eval(),
            kwargs={"tensors": example},
            dynamic_shapes={"tensors": {name: {0: rows} for name in example}},
            input_names=list(example),
            output_names=["output"],
            opset_version=OPSET,
            optimize=False,
            verbose=False,
            dynamo=True,
        )
    assert program is not None  # None only where it is written to a file
    model = program.model_proto
    # The exporter notes the lines of source and their files, which differ from machine to machine.
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        part.ClearField("metadata_props")
    return bytes(model.SerializeToString(deterministic=True))


def with_weights(graph: bytes, state: Mapping[str, Tensor]) -> bytes:
    """The graph with each initializer that bears the name of a tensor of `state` set to it."""
    model = onnx.load_model_from_string(graph)
    for initializer in model.graph.initializer:
        name = initializer.name.removeprefix("predictor.")
        if name in state:
            value = state[name].cpu().numpy()
            initializer.CopyFrom(numpy_helper.from_array(value, initializer.name))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def main() -> None:
    """Export the predictor that standard input describes to standard output."""
    given = json.load(sys.stdin)
    with redirect_stdout(sys.stderr):
        import torch

        from millrace.models.predictor import build

        # The training beside it comes first.
        os.nice(5)
        torch.set_num_threads(1)
        parameters = getattr(import_module(given["module"]), given["parameters"])(**given["values"])
        signature = tuple(map(spec_of, given["signature"]))
        graph = export(build(parameters, signature, Objective(**given["objective"])), signature)
    sys.stdout.buffer.write(graph)


if __name__ == "__main__":
    main()
