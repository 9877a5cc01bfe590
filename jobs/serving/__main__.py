"""The entry point of a serving container: `serve`."""

from __future__ import annotations

import os
import sys

from millrace.artefact.artefact import read_folder
from millrace.errors import MillraceError
from millrace.jobs import runtime
from millrace.jobs.serving.server import listen, serve
from millrace.jobs.serving.settings import Settings
from millrace.jobs.serving.workers import run_workers


def main() -> None:
    """Answer until SIGTERM. Each worker process holds the model once."""
    # What can be wrong is found before a worker starts: the settings, the artefact's digest, the port.
    settings = Settings.read(os.environ)
    artefact = read_folder(runtime.ml_root() / "model", approved=settings.model_digest)
    listener = listen(settings.bind, settings.port)

    def work() -> None:
        from millrace.artefact.inference import Model
        from millrace.jobs.serving.application import Application

        serve(listener, Application(Model(artefact), settings), settings)

    print(f"serving model version {settings.model_version} on port {settings.port}", flush=True)
    run_workers(work, settings.workers)


if __name__ == "__main__":
    try:
        main()
    except MillraceError as error:
        sys.exit(f"{type(error).__name__}: {error}")
