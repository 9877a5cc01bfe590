"""`python -m infra.local --workspace build/local`: serves the cloud until it is interrupted."""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from infra.local.iam.identity import Identity
from infra.local.kernel import call_tracer
from infra.local.kernel.control import secret_file
from infra.local.kernel.server import running, warm
from infra.local.sagemaker.jobs.forked import begin_fork_servers


class Interrupted(BaseException):
    """Raised in the main thread by the first SIGINT or SIGTERM; the later ones are ignored, the end is under way."""


def main() -> None:
    """Print one JSON line, the address and the secret's file, when the cloud is ready; end upon SIGINT or SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    # Inherited by every process that the cloud starts: one whose call tracer is not loaded yet is not ended by it.
    signal.signal(call_tracer.SIGNAL, signal.SIG_IGN)
    arguments = _arguments()
    try:
        with running(arguments.workspace, port=arguments.port, clock=arguments.clock) as cloud:
            cloud.parts[Identity].recording.switch(on=arguments.record)
            secret = str(secret_file(cloud.workspace))
            print(json.dumps({"endpoint_url": cloud.endpoint_url, "secret_file": secret}), flush=True)
            cloud.background("warm", lambda: warm(cloud))
            cloud.after_deployment.append(lambda: begin_fork_servers(cloud))
            threading.Event().wait()
    except Interrupted:
        # All has ended by now. To free what moto has loaded takes the interpreter a second or more of its own.
        os._exit(0)


def _interrupt(*_: object) -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise Interrupted


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    parser.add_argument("--workspace", type=Path, default=Path("build/local"))
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--clock", type=datetime.fromisoformat, help="the cloud's time at start, ISO 8601")
    parser.add_argument(
        "--record",
        action="store_true",
        default="MILLRACE_RECORD" in os.environ,
        help="write down what roles are allowed, for /_millrace/permissions; also by the variable MILLRACE_RECORD",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
