"""A predictor as an ONNX graph, by torch's own exporter.

The exporter takes two seconds of CPU at its first use and its import as much again, but it needs shapes only: a process
beside the training makes the graph, and the trained weights are put into it by name. So nothing in the graph may depend
on the values of weights: it is exported without optimisation, which ONNX Runtime does when it loads the graph.

Measured with electricity's 3,185 steps on two cores: an interpreter of its own that began when the rows were encoded
took 9.0 s until the artefact (12.9 s of CPU), a fork before the rows are read takes 7.0 s (9.2 s of CPU).
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from importlib import import_module
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import onnx
import torch
from onnx import numpy_helper

from millrace.errors import ArtefactError
from millrace.features.signature import Signature
from millrace.models.predictor import build
from millrace.tasks.task import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from millrace.models.parameters import Parameters
    from millrace.models.predictor import Predictor

OPSET = 20
"""The first with Gelu as an operator of its own."""
ROWS = 2
"""Rows of the example: with one, the exporter takes the number of rows for a constant."""


FORKED = sys.platform == "linux"
"""Elsewhere a fork is not safe once libraries have threads; there the process imports torch itself."""


class Exporter:
    """A process that makes one graph. Its protocol: a request goes in, the graph or a traceback comes out."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def begin(self, parameters: Parameters, signature: Signature, objective: Objective) -> None:
        """Start the export of an untrained predictor; does not wait."""
        with suppress(BrokenPipeError):  # `finish` says so
            self._pipe.send((parameters, signature, objective))

    def finish(self, state: Mapping[str, Tensor]) -> bytes:
        """The graph with the weights of `state`; waits for it. Raises ArtefactError when the export failed."""
        try:
            graph, failure = self._pipe.recv()
        except EOFError:
            graph, failure = b"", "its process ended"
        if failure:
            raise ArtefactError(f"model.onnx: the export failed: {failure[-2000:]}")
        return with_weights(graph, state)


@contextmanager
def exporter() -> Iterator[Exporter]:
    """An exporter that warms up at once and ends with the block.

    To be called before torch has computed anything in this process: a fork takes the modules that are loaded, not the
    threads of their pools."""
    import_module("torch._dynamo")  # 1.3 s: both processes need it, torch's optimisers too
    context = multiprocessing.get_context("fork") if FORKED else multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, ours if FORKED else None), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Exporter(ours)
    finally:
        process.kill()
        process.join()
        ours.close()


def _serve(pipe: Connection, inherited: Connection | None) -> None:
    """Make the one graph that is requested.

    The end of the pipe that a fork inherits is closed, or the end of the training process would never be noticed."""
    if inherited is not None:
        inherited.close()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")  # of a network that is built without weights, too
    os.nice(5)  # the training comes first
    torch.set_num_threads(1)
    with redirect_stdout(sys.stderr):
        import_module("onnxscript.function_libs.torch_lib.ops")  # the exporter's first call would do it
        try:
            parameters, signature, objective = pipe.recv()
        except EOFError:
            return
        try:
            answer = export(build(parameters, signature, objective), signature), ""
        except Exception:
            answer = b"", traceback.format_exc()
    pipe.send(answer)


def export(predictor: Predictor, signature: Signature) -> bytes:
    """The predictor as ONNX: the signature's tensors in, `output` (N, W) out, any N."""

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
        # The exporter warns of its own making (deprecated classes, names of axes); what it cannot export raises.
        warnings.simplefilter("ignore")
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
