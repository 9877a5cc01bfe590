"""Record the calls anew, when a version is released: `python -m tests.last_release`.

A local cloud lives through fourteen months and is torn down, so that every machine has run."""

import tempfile
from pathlib import Path

from millrace.console.actions.teardown import teardown
from millrace.console.demo.electricity import STORY
from millrace.console.demo.run import run_in_cloud
from millrace.console.environment import local_environment
from millrace.console.local_cloud.local_cloud import started
from tests.last_release import calls, record

with tempfile.TemporaryDirectory(prefix="millrace-last-release-") as folder:
    build = Path(folder)
    with started(build, clock=STORY.start, workloads=[STORY.workload]) as cloud:
        run_in_cloud(cloud, build, STORY, said=print)
        teardown(local_environment(cloud), said=print)
        record(calls(cloud.client("stepfunctions")))
