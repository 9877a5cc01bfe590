"""Starts and calls the serving container as SageMaker does: a process that answers /ping and /invocations.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
By that page containers run as root, so the process is started as the user of the job.
"""

from __future__ import annotations

import http.client
import os
import re
import resource
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from millrace.errors import PreflightError

SERVE = ("python", "-m", "millrace.jobs.serving", "serve")
"""The image's ENTRYPOINT with the argument that SageMaker adds."""
PING_S, ANSWER_S = 2.0, 60.0
"""So many seconds an endpoint waits for the answer to /ping and to /invocations."""
END_S = 30.0
"""Seconds between SIGTERM and SIGKILL."""
POLL_S = 0.02
"""Seconds between two calls of /ping."""
KILLED = -9
"""The return code of a process that SIGKILL ended."""
ERROR = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception)\b")
"""A line of a log that names an error. A traceback ends with such a line."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container that was started. `answer` may be called once it is ready."""

    command: str
    """What was started, for error messages: `python -m millrace.jobs.serving serve as a transform job`."""
    where: str
    """What is called, for error messages: `/invocations of a transform job`."""
    process: subprocess.Popen[bytes]
    port: int
    log: Path
    """The file with all that the process wrote."""
    memory_mb: int
    """What each of its processes may take at most, in MiB; 0 for no bound."""

    def wait_until_ready(self, limit_s: float) -> float:
        """The seconds until /ping answered 200. Raises PreflightError if the process ended or was too slow."""
        began, came = time.monotonic(), "nothing"
        while (waited_s := time.monotonic() - began) < limit_s:
            if self.process.poll() is not None:
                raise PreflightError(
                    f"{self.command}: expected a server, got {self._ending(f' after {waited_s:.1f} s')}"
                )
            came = self._ping()
            if came == "200":
                return waited_s
            time.sleep(POLL_S)
        expected = f"200 within {limit_s:g} s of the start"
        raise PreflightError(f"/ping on port {self.port}: expected {expected}, got {came}")

    def answer(self, body: bytes, content_type: str) -> bytes:
        """The body that /invocations answers. Raises PreflightError without an answer and for any status but 200."""
        headers = {"content-type": content_type, "accept": content_type}
        try:
            status, content = self._exchange("POST", "/invocations", ANSWER_S, body, headers)
        except TimeoutError:
            raise PreflightError(f"{self.where}: expected an answer within {ANSWER_S:g} s, got none") from None
        except (OSError, http.client.HTTPException) as error:
            self._await_end()
            ended = self.process.poll() is not None
            came = self._ending() if ended else f"{type(error).__name__}: {error}"
            raise PreflightError(f"{self.where}: expected an answer, got {came}") from None
        if status != http.HTTPStatus.OK:
            raise PreflightError(f"{self.where}: expected status 200, got {status}: {said(content)}")
        return content

    def _await_end(self) -> None:
        """Wait a second for the end of the process: its connections break before it is gone."""
        try:
            self.process.wait(1)
        except subprocess.TimeoutExpired:
            return

    def _ping(self) -> str:
        """The status of /ping as text, or why there is none."""
        try:
            return str(self._exchange("GET", "/ping", PING_S)[0])
        except ConnectionRefusedError:
            return "no connection: nothing listens there"
        except TimeoutError:
            return f"no answer in {PING_S:g} s"
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}"

    def _exchange(
        self, method: str, path: str, limit_s: float, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Send one request on a connection of its own, and return the status and the body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=limit_s)
        try:
            connection.request(method, path, body or None, headers or {})
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def _ending(self, after: str = "") -> str:
        """How the process ended, for an error message, with the last words of its log."""
        code = self.process.returncode
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        why = ", as where the memory is full" if code == KILLED else ""
        bound = f", {self.memory_mb:,} MB at most" if self.memory_mb else ""
        return f"one that ended {how}{after}{why}{bound}: {last_words(self.log)}"


@contextmanager
def started(
    command: Sequence[str], *, port: int, memory_mb: int, log: Path, transforms: bool = False
) -> Iterator[Container]:
    """Start the container's process. It ends with the block, and what it wrote is printed then.

    `memory_mb` bounds each of its processes; 0 sets no bound. With `transforms` it serves a transform job, told by the
    variable that SageMaker sets: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-batch-code.html
    Raises PreflightError if the image has no such program."""
    typed = " ".join(command)
    variables = os.environ | ({"SAGEMAKER_BATCH": "true"} if transforms else {})
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                command, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        except OSError as error:
            raise PreflightError(f"{typed}: expected a program of the image, got {error}") from None
    if memory_mb:
        # The bound holds for the process, which has only begun to start, and for the workers that it forks.
        resource.prlimit(process.pid, resource.RLIMIT_AS, (memory_mb * 2**20, memory_mb * 2**20))
    try:
        yield Container(
            command=f"{typed} as a transform job" if transforms else typed,
            where="/invocations of a transform job" if transforms else "/invocations",
            process=process,
            port=port,
            log=log,
            memory_mb=memory_mb,
        )
    finally:
        _end(process)
        print(log.read_text(errors="replace"), end="", flush=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process as SageMaker does: SIGTERM, then SIGKILL after END_S."""
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def said(content: bytes) -> str:
    """The beginning of an answer, in one line."""
    return " ".join(content.decode(errors="replace").split())[:500]


def last_words(log: Path) -> str:
    """The last line of a log that names an error, else its last line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if ERROR.match(line)]
    return (errors or lines or ["it wrote nothing"])[-1].removeprefix("millrace.errors.")
