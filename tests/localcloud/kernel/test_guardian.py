"""The guardian ends the processes of the run that it guards, once the pipe from the cloud has ended, and no others."""

from __future__ import annotations

import signal
import subprocess
import sys

from localcloud.kernel import guardian

SLEEP = [sys.executable, "-I", "-S", "-c", "import time; print(flush=True); time.sleep(60)"]


def test_what_a_killed_cloud_started_ends_and_nothing_else() -> None:
    watch = [sys.executable, "-I", "-S", guardian.__file__, "MILLRACE_RUN=a"]
    with (
        subprocess.Popen(SLEEP, env={"MILLRACE_RUN": "a"}, stdout=subprocess.PIPE) as ours,
        subprocess.Popen(SLEEP, env={"MILLRACE_RUN": "b"}, stdout=subprocess.PIPE) as other,
        subprocess.Popen(watch, stdin=subprocess.PIPE) as beside,
    ):
        for one in (ours, other):
            assert one.stdout is not None
            one.stdout.readline()
        assert ours.poll() is None
        assert beside.stdin is not None
        beside.stdin.close()
        assert ours.wait(60) == -signal.SIGKILL
        assert beside.wait(60) == 0
        assert other.poll() is None
        other.kill()
