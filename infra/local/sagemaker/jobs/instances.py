"""The instances of one training job: containers that reach each other and nothing else, as processes of one program.

Run as `python instances.py <file>`, in a network of its own where the kernel lets: SageMaker isolates a job's network,
but not its instances from each other. The instances are known by addresses of the loopback interface, 127.0.0.1,
127.0.0.2 and so on, where AWS names them algo-1, algo-2. One that fails ends the others, as SageMaker ends the job.
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


def address(number: int) -> str:
    """Of the instance with this number, from 1 on."""
    return f"127.0.0.{number}"


def main(file: Path) -> int:
    """The exit code of the first that failed; 0 when all ended well."""
    # The signal is sent to the whole group: the instances have it, this program waits for what they do.
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
            code = failed[0] if failed[0] > 0 else 128 - failed[0]
            _end(running)
    return code


def _end(running: list[subprocess.Popen[bytes]]) -> None:
    """Each is told; those that have not ended by then are killed."""
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
