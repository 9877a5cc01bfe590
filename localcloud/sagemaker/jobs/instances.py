"""Runs the instances of one training job as processes that reach each other and nothing else.

It is run as `python instances.py <file>`, in a network of its own if the kernel allows that: SageMaker isolates a job's
network, but not its instances from each other. The instances have addresses of the loopback interface, 127.0.0.1,
127.0.0.2 and so on, where AWS names them algo-1, algo-2. If one fails, the others are ended, as SageMaker ends the job.
The file: `[{"arguments": [...], "environment": {...}, "cwd": "..."}, ...]`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

GRACE_S, POLL_S = 30.0, 0.05
"""Seconds between SIGTERM and SIGKILL, and between two looks at the instances."""


def main(file: Path) -> int:
    """Run the instances to their end. Returns the exit code of the first one that failed; 0 if none did."""
    # SIGTERM goes to the whole process group, so the instances get it themselves. This program waits until they end.
    signal.signal(signal.SIGTERM, lambda *_: None)
    running = [
        subprocess.Popen(one["arguments"], env={**os.environ, **one["environment"]}, cwd=one["cwd"])
        for one in json.loads(file.read_text())
    ]
    code = 0
    while running:
        time.sleep(POLL_S)
        ended = [process for process in running if process.poll() is not None]
        running = [process for process in running if process not in ended]
        failed = [process.returncode for process in ended if process.returncode]
        if failed and not code:
            # Popen has -9 for a process that SIGKILL ended; containers report 137.
            code = failed[0] if failed[0] > 0 else 128 - failed[0]
            _end(running)
    return code


def _end(running: list[subprocess.Popen[bytes]]) -> None:
    """Send SIGTERM to each, and SIGKILL to those that have not ended within GRACE_S in all."""
    for process in running:
        process.terminate()
    deadline = time.monotonic() + GRACE_S
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
