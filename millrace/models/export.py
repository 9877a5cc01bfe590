"""Exports a predictor as an ONNX graph, by torch's own exporter.

The exporter takes two seconds of CPU at its first use, and its import as much again. But it needs only shapes. So a
process beside the training makes the graph, and the trained weights are then put into it by name. Therefore nothing in
the graph may depend on the values of weights: it is exported without optimisation. ONNX Runtime optimises it when it
loads it.

Timeline of a training:

    training process   exporter() … read rows, encode, begin() … train … finish(): weights into the graph
    export process     import the exporter …           export the untrained network, send the graph

Measured with electricity's 3,185 steps on two cores: with an interpreter of its own that began when the rows were
encoded, a training took 9.0 s until the artefact (12.9 s of CPU). With a fork before the rows are read it takes 7.0 s
(9.2 s of CPU).
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

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from millrace.artefact.artefact import DISTANCE, OUTPUT
from millrace.errors import ArtefactError
from millrace.features.signature import Signature
from millrace.models import trees
from millrace.models.parameters import Parameters
from millrace.models.predictor import Predictor, build
from millrace.tasks.task import Objective

OPSET = 20
"""The first version of ONNX's operators with Gelu as an operator of its own."""
ROWS = 2
"""The rows of the example. With one row, the exporter would take the number of rows for a constant."""


FORKED = sys.platform == "linux"
"""Whether the export process is a fork. Elsewhere a fork is not safe once libraries have threads: a new process then
imports torch itself."""


class Exporter:
    """A handle on a process that makes one graph. Protocol: one request goes in, the graph or a traceback comes out."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def begin(
        self, parameters: Parameters, signature: Signature, objective: Objective, *, measures_likeness: bool = False
    ) -> None:
        """Send the request to export an untrained predictor. Does not wait for the graph."""
        with suppress(BrokenPipeError):  # if the process has ended, `finish` raises for it
            self._pipe.send((parameters, signature, objective, measures_likeness))

    def finish(self, state: Mapping[str, Tensor]) -> bytes:
        """Wait for the graph, and return it with the weights of `state`. Raises ArtefactError if the export failed."""
        try:
            graph, failure = self._pipe.recv()
        except EOFError:
            graph, failure = b"", "its process ended"
        if failure:
            raise ArtefactError(f"model.onnx: the export failed: {failure[-2000:]}")
        return with_weights(graph, state)


@contextmanager
def exporter() -> Iterator[Exporter]:
    """An exporter whose process warms up at once and ends with the block.

    Call it before torch has computed anything in this process: a fork inherits the loaded modules, but not the threads
    of their pools."""
    import_module("torch._dynamo")  # 1.3 s, before the fork: both processes need it, also torch's optimisers
    context = multiprocessing.get_context("fork") if FORKED else multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, ours if FORKED else None), daemon=True)
    process.start()
    # Now only the other process holds this end. If it ends, `recv` raises EOFError instead of waiting for ever.
    theirs.close()
    try:
        yield Exporter(ours)
    finally:
        process.kill()
        process.join()
        ours.close()


def _serve(pipe: Connection, inherited: Connection | None) -> None:
    """Make the one graph that is requested, in the export process.

    `inherited` is the training's end of the pipe, of which a fork has a copy."""
    # As long as this copy is open, `recv` would not notice that the training process has ended.
    if inherited is not None:
        inherited.close()
    # A fork inherits the training's handler, which only notes the signal; this process must end at once.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")  # also of a network that is built without weights
    os.nice(5)  # the training comes first
    torch.set_num_threads(1)
    with redirect_stdout(sys.stderr):
        # Warm up while the training reads its rows: the exporter's first call would import this.
        import_module("onnxscript.function_libs.torch_lib.ops")
        try:
            parameters, signature, objective, measures = pipe.recv()
        except EOFError:
            return
        try:
            answer = export(build(parameters, signature, objective, measures_likeness=measures), signature), ""
        except Exception:
            answer = b"", traceback.format_exc()
    pipe.send(answer)


def export(predictor: Predictor, signature: Signature) -> bytes:
    """The predictor as an ONNX graph: the signature's tensors in, `output` (N, W) out, for any N.

    Where there are several models, the answer of each (N, W) is an output too; so is a measured `distance` (N, 1)."""

    class Positional(torch.nn.Module):
        """The predictor with one dictionary as its argument.

        Torch 2.13's exporter does not match dynamic shapes with `**tensors`, but it does with one dictionary."""

        def __init__(self) -> None:
            super().__init__()
            self.predictor = predictor.cpu()

        def forward(self, tensors: dict[str, Tensor]) -> Tensor | tuple[Tensor, ...]:
            found = self.predictor.outputs(**tensors)
            return found if len(found) > 1 else found[0]

    rows = torch.export.Dim("rows")
    example = {
        spec.name: torch.zeros((ROWS, *(size or 1 for size in spec.shape)), dtype=getattr(torch, spec.dtype))
        for spec in signature
    }
    with warnings.catch_warnings():
        # The exporter's warnings are about its own code (deprecated classes, names of axes). If it cannot export
        # something, it raises.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Positional().eval(),
            kwargs={"tensors": example},
            dynamic_shapes={"tensors": {name: {0: rows} for name in example}},
            input_names=list(example),
            output_names=[OUTPUT, *predictor.parts, *([DISTANCE] if predictor.likeness else [])],
            opset_version=OPSET,
            optimize=False,
            verbose=False,
            dynamo=True,
        )
    assert program is not None  # it is None only if the graph is written to a file
    model = program.model_proto
    # The exporter notes lines of source code and their files, which differ from machine to machine.
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        part.ClearField("metadata_props")
    return bytes(model.SerializeToString(deterministic=True))


def with_weights(graph: bytes, state: Mapping[str, Tensor]) -> bytes:
    """The graph with the tensors of `state` in place of the initializers of the same names."""
    model = onnx.load_model_from_string(graph)
    for initializer in model.graph.initializer:
        # The graph was exported from `Positional`, which holds the predictor as `predictor`.
        name = initializer.name.removeprefix("predictor.")
        if name in state:
            value = state[name].cpu().numpy()
            initializer.CopyFrom(numpy_helper.from_array(value, initializer.name))
    for node in model.graph.node:
        if f"{node.domain}::{node.op_type}" == trees.NODE:
            found = {name.removeprefix("trees."): value for name, value in state.items() if name.startswith("trees.")}
            node.ClearField("attribute")
            node.attribute.extend(onnx.helper.make_attribute(*pair) for pair in trees.attributes(found).items())
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
