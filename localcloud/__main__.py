"""`python -m localcloud --workspace build/local`: serves the cloud until it is interrupted."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from localcloud.deploy import DeploymentError, assembly_folder, deploy_and_say, parameter
from localcloud.iam.identity import Identity
from localcloud.kernel import call_tracer, guardian
from localcloud.kernel.checkpoints import Checkpoints
from localcloud.kernel.cloud import RUN
from localcloud.kernel.control import secret_file
from localcloud.kernel.server import running, warm
from localcloud.sagemaker.containers import images
from localcloud.sagemaker.jobs.forked import begin_fork_servers


class Interrupted(BaseException):
    """Raised in the main thread by the first SIGINT or SIGTERM. Later ones are ignored, since the end is under way."""


def main() -> None:
    """Run a cloud until SIGINT or SIGTERM. When it is ready, print one line of JSON:

    `{"endpoint_url": "http://localhost:40123", "secret_file": "…/build/local/secret"}`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    # Every process that the cloud starts inherits this. So the signal does not end a process whose call tracer is not
    # loaded yet.
    signal.signal(call_tracer.SIGNAL, signal.SIG_IGN)
    arguments = _arguments()
    try:
        with running(arguments.workspace, port=arguments.port, clock=arguments.clock) as cloud:
            words = ["-I", "-S", guardian.__file__, f"{RUN}={cloud.run}"]
            # The pipe is open as long as this object lives. The guardian must not be in the group that `down` ends.
            pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
            beside = subprocess.Popen(
                [sys.executable, *words], stdin=pipe, stdout=nothing, stderr=nothing, start_new_session=True
            )
            assert beside.stdin is not None
            checkpoints = cloud.parts[Checkpoints] = Checkpoints(cloud)
            cloud.parts[Identity].recording.switch(on="MILLRACE_RECORD" in os.environ)
            secret = str(secret_file(cloud.workspace))
            print(json.dumps({"endpoint_url": cloud.endpoint_url, "secret_file": secret}), flush=True)
            cloud.background("warm", lambda: warm(cloud))
            cloud.after_deployment.append(lambda: begin_fork_servers(cloud))
            images(cloud).folder = arguments.images.resolve()
            if arguments.assembly:
                given, secret = arguments.parameters, cloud.secret
                deploy_and_say(cloud.endpoint_url, arguments.assembly, secret=secret, parameters=given)
            checkpoints.make_when_asked()
    except DeploymentError as error:
        sys.exit(f"localcloud: {error}")
    except Interrupted:
        # Everything has ended by now. The interpreter would take a second or more to free what moto has loaded.
        os._exit(0)


def _interrupt(*_: object) -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise Interrupted


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m localcloud", description=__doc__)
    parser.add_argument(
        "assembly", type=assembly_folder, nargs="?", help="the folder that `cdk synth` made (cdk.out), to deploy"
    )
    parser.add_argument("--parameters", type=parameter, action="append", default=[], metavar="[STACK:]NAME=VALUE")
    parser.add_argument("--workspace", type=Path, default=Path("build/local"))
    parser.add_argument("--images", type=Path, default=Path(os.devnull), help="a folder with NAME/Dockerfile of images")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--clock", type=datetime.fromisoformat, help="the cloud's time at start, ISO 8601")
    return parser.parse_args()


if __name__ == "__main__":
    main()
