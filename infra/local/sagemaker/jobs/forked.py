"""Jobs as forks of a process that has imported what they import: of a training that is 3 s, of a monitor run 0.3 s.

On AWS each job starts its container anew. Here the first job of an image starts a fork server in it, with the image's
interpreter, packages and network, and this and all later ones are forks of that.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from infra.local.kernel.cloud import Cloud
from infra.local.kernel.forks import Fork, ForkServer, fork_servers
from infra.local.sagemaker.containers import Image, without_network

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
OWN = "jobs/*/job.py"
"""Of our code in the image: what the entry points import. Nothing in it reads the environment before it is called."""


def forked(cloud: Cloud, image: Image, arguments: Sequence[str], environment: Mapping[str, str]) -> Fork | None:
    """What starts a job as a fork; None where it is no module, or its environment could change an import."""
    if list(arguments[1:2]) != ["-m"]:
        return None
    server = ForkServer(
        name=image.name,
        before=without_network(),
        interpreter=(sys.executable,),
        program=("-m", "fork_server"),
        modules=(*LARGE, *(f"jobs.{path.parent.name}.job" for path in sorted(image.cwd.glob(OWN)))),
        environment=image.variables(cloud.workspace / "forks" / image.name),
        cwd=image.cwd,
    )
    return fork_servers(cloud).find(server, arguments, environment)
