"""The processes of functions as forks of one that has imported the packages of their layers: half a second each.

AWS starts each in a sandbox of its own. Here the first function with a list of layers starts a fork server with them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from infra.local.kernel import fork_server
from infra.local.kernel.cloud import Cloud
from infra.local.kernel.forks import READ_AT_IMPORT, Fork, ForkServer, fork_servers

INTERPRETER = (sys.executable, "-I", "-S")
"""Nothing of the host's packages or environment is on the path."""
LARGE = (
    "boto3.s3.inject",
    "simplejson",
    "zoneinfo",
    "pydantic.dataclasses",  # and with it nearly all that the package else imports when it is first needed
    "yaml",
    "aws_lambda_powertools.utilities.data_classes",
    "numpy",
    "pyarrow.parquet",
    "pyarrow.compute",
    "pyiceberg.catalog.glue",
)
"""What functions import, as far as their layers have it."""


def forked(
    cloud: Cloud, libraries: Sequence[Path], arguments: Sequence[str], environment: Mapping[str, str]
) -> Fork | None:
    """What starts a function's process as a fork of one with these folders; None where it is to start by itself."""
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
