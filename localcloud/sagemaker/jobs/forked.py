"""Starts jobs as forks of a process that has imported their libraries already.

On AWS each job starts its container anew. Here a fork server runs for each image with jobs, with the interpreter, the
packages and the network of the image; the jobs are its forks. That saves 3 s of a training and 0.3 s of a monitor run.
The first job starts the server, or the end of a deployment does.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from localcloud.kernel.cloud import Cloud
from localcloud.kernel.forks import Fork, ForkServer, fork_servers
from localcloud.sagemaker.containers import Image, images, without_network

LARGE = (
    "numpy",
    "pyarrow.parquet",
    "pydantic.dataclasses",
    "yaml",
    "torch",
    "torch._dynamo",
    "torch._inductor.lowering",
    "torch.onnx._internal.exporter._compat",
    "onnxscript.function_libs.torch_lib.ops",
    "onnxscript.rewriter.onnx_fusions",
)
"""Large modules that jobs import; the server imports those that the image has.

Their import computes nothing and begins no thread of its own."""
WITHOUT_JOBS = ("inference",)
"""Images in which a job is rare (the preflight). That job itself starts the server; nothing starts it ahead."""
OWN = "millrace/jobs/*/job.py"
"""Our modules in the image that the server imports, with all that they import: what the entry points of jobs need.

Nothing in them reads the environment before it is called."""


def forked(cloud: Cloud, image: Image, arguments: Sequence[str], environment: Mapping[str, str]) -> Fork | None:
    """What starts the job as a fork of its image's fork server.

    None if the job must be started by itself: it is no module (`python -m NAME`), its environment could change an
    import, or the server could not be started."""
    if list(arguments[1:2]) != ["-m"]:
        return None
    return fork_servers(cloud).find(_server(cloud, image), arguments, environment)


def begin_fork_servers(cloud: Cloud) -> None:
    """Start the fork servers of the images that jobs run in, ahead of the first job.

    They start one after the other, as each takes a processor."""
    found = images(cloud)
    for name in sorted(found.dockerfiles, reverse=True):
        if not cloud.stopping.is_set() and name not in WITHOUT_JOBS:
            fork_servers(cloud).begin(_server(cloud, found.find(name)))


def _server(cloud: Cloud, image: Image) -> ForkServer:
    return ForkServer(
        name=image.name,
        before=without_network(),
        interpreter=(sys.executable,),
        program=("-m", "fork_server"),
        modules=(*LARGE, *(f"millrace.jobs.{path.parent.name}.job" for path in sorted(image.cwd.glob(OWN)))),
        environment=image.variables(cloud.workspace / "forks" / image.name),
        cwd=image.cwd,
    )
