"""Jobs as forks of a process that has imported what they import: of a training that is 3 s, of a monitor run 0.3 s.

On AWS each job starts its container anew. Here a fork server runs in an image with jobs, with the image's interpreter,
packages and network, and they are forks of it. The first job starts it, or the end of a deployment does.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from infra.local.kernel.cloud import Cloud
from infra.local.kernel.forks import Fork, ForkServer, fork_servers
from infra.local.sagemaker.containers import Image, images, without_network

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
"""What jobs import, as far as the image has it; none of it computes anything or begins a thread of its own yet."""
WITHOUT_JOBS = ("inference",)
"""Images in which a job is rare, as the preflight is: it begins the server itself."""
OWN = "jobs/*/job.py"
"""Of our code in the image: what the entry points import. Nothing in it reads the environment before it is called."""


def forked(cloud: Cloud, image: Image, arguments: Sequence[str], environment: Mapping[str, str]) -> Fork | None:
    """What starts a job as a fork; None where it is no module, or its environment could change an import."""
    if list(arguments[1:2]) != ["-m"]:
        return None
    return fork_servers(cloud).find(_server(cloud, image), arguments, environment)


def begin_fork_servers(cloud: Cloud) -> None:
    """Start those of the images that jobs run in, ahead of the first job: one after the other, as each takes a
    processor."""
    found = images(cloud)
    for name in found.names:
        if not cloud.stopping.is_set() and name not in WITHOUT_JOBS:
            fork_servers(cloud).begin(_server(cloud, found.find(name)))


def _server(cloud: Cloud, image: Image) -> ForkServer:
    return ForkServer(
        name=image.name,
        before=without_network(),
        interpreter=(sys.executable,),
        program=("-m", "fork_server"),
        modules=(*LARGE, *(f"jobs.{path.parent.name}.job" for path in sorted(image.cwd.glob(OWN)))),
        environment=image.variables(cloud.workspace / "forks" / image.name),
        cwd=image.cwd,
    )
