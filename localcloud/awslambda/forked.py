"""Starts functions as forks of a process that has imported the packages of their layers. That saves half a second each.

AWS starts each function in a sandbox of its own. Here the first function with a list of layers starts a fork server
with these layers, and all functions with the same list are forks of it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from localcloud.kernel import fork_server
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.forks import READ_AT_IMPORT, Fork, ForkServer, fork_servers

INTERPRETER = (sys.executable, "-I", "-S")
"""`-I` and `-S` keep the host's environment and packages off the path."""
LARGE = (
    "boto3.s3.inject",
    "simplejson",
    "zoneinfo",
    "pydantic.dataclasses",  # with it comes nearly all that the package would else import on first use
    "yaml",
    "aws_lambda_powertools.utilities.data_classes",
    "numpy",
    "pyarrow.parquet",
    "pyarrow.compute",
    "pyiceberg.catalog.glue",
)
"""The modules that functions import. Those that the layers do not have are skipped."""


def forked(
    cloud: Cloud, libraries: Sequence[Path], arguments: Sequence[str], environment: Mapping[str, str]
) -> Fork | None:
    """What starts a function's process as a fork of the server with these folders; None if no fork is possible.

    `libraries` are the folders of the layers and of the runtime, as they stand on the import path."""
    # The server imports under the runtime's own variables. They are a part of its name, so that functions for which
    # they differ get another server.
    own = {name: text for name, text in environment.items() if _is_of_runtime(name)}
    server = ForkServer(
        name=f"layers-{sha256(str((libraries, sorted(own.items()))).encode()).hexdigest()[:16]}",
        interpreter=INTERPRETER,
        program=("-B", fork_server.__file__),
        modules=LARGE,
        folders=libraries,
        environment=own,
        cwd=libraries[-1],
    )
    return fork_servers(cloud).find(server, arguments, environment)


def _is_of_runtime(name: str) -> bool:
    return name in {"PATH", "LANG", "TZ"} or (name.startswith("AWS_") and name.startswith(READ_AT_IMPORT))
