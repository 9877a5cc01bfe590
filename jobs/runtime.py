"""SageMaker's container contract: folders, failure files, exit codes, stop signal.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo.html and
https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from millrace.errors import MillraceError, SettingsError

FAILURE_CHARACTERS = 1024
"""SageMaker keeps so many characters of `output/failure` and `output/message`."""
STOPPED = 143
"""Exit code after SIGTERM: 128 + 15. Not 0, or an unfinished job would count as completed."""


class Stopped(Exception):  # noqa: N818 it is no error
    """The platform stopped the job. If it had made any progress, this is in the checkpoint."""


def ml_root() -> Path:
    """`/opt/ml`, or the folder that MILLRACE_ML_ROOT names if a container runs as a process."""
    return Path(os.environ.get("MILLRACE_ML_ROOT", "/opt/ml"))


@dataclass(frozen=True, kw_only=True)
class Hosts:
    """The machines of a training job, as the platform describes them to each one."""

    names: tuple[str, ...]
    """All machines, sorted: `("algo-1", "algo-2")`."""
    current: str
    interface: str
    """The network interface by which they reach each other; empty if the platform names none."""


@dataclass(frozen=True, kw_only=True)
class TrainingPlaces:
    """The folders of a training job."""

    root: Path

    def channel(self, name: str) -> Path:
        """The folder of an input channel. Raises SettingsError if the job has no such channel."""
        path = self.root / "input" / "config" / "inputdataconfig.json"
        channels = json.loads(path.read_bytes())
        if name not in channels:
            raise SettingsError(where=path.name, field=name, expected="a channel of this name", came=sorted(channels))
        return self.root / "input" / "data" / name

    @property
    def hosts(self) -> Hosts:
        """The job's machines: from resourceconfig.json, which the platform always writes, else this one alone."""
        path, here = self.root / "input" / "config" / "resourceconfig.json", "localhost"
        said: Any = json.loads(path.read_bytes()) if path.exists() else {"hosts": [here], "current_host": here}
        return Hosts(
            # Sorted, so that all machines agree which one is the first.
            names=tuple(sorted(said["hosts"])),
            current=said["current_host"],
            interface=said.get("network_interface_name", ""),
        )

    @property
    def hyperparameters(self) -> dict[str, str]:
        """The hyperparameters that the job was given, as text; empty if it was given none."""
        path = self.root / "input" / "config" / "hyperparameters.json"
        return json.loads(path.read_bytes()) if path.exists() else {}

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"


@dataclass(frozen=True, kw_only=True)
class ProcessingPlaces:
    """The folders of a processing job."""

    root: Path

    def input(self, name: str) -> Path:
        """The folder of an input. Raises SettingsError if it is not there."""
        if (path := self.optional(name)) is None:
            raise SettingsError(where="processing inputs", field=name, expected=f"{self._at(name)}", came="nothing")
        return path

    def optional(self, name: str) -> Path | None:
        """The folder of an input that a job can do without; None if it is not there."""
        path = self._at(name)
        return path if path.is_dir() else None

    def output(self, name: str) -> Path:
        """The folder of an output. It is made if the platform has not made it."""
        path = self._at(name)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _at(self, name: str) -> Path:
        return self.root / "processing" / name


class StopSignal:
    """Notes SIGTERM. SageMaker sends SIGKILL 120 s later."""

    def __init__(self) -> None:
        self.came = False
        signal.signal(signal.SIGTERM, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        # Nothing is raised here: the job looks at `came` where its state is whole and can be saved.
        self.came = True

    def check(self, when: str) -> None:
        """Raise Stopped if the signal has come; `when` says at which point, for the log."""
        if self.came:
            raise Stopped(when)


def run(job: Callable[[], None]) -> NoReturn:
    """Run the job and exit with 0 if it is done, 143 if it was stopped, or 1 if it failed.

    The reason of a failure is written where SageMaker reads it."""
    code = _run(job)
    sys.stdout.flush()
    sys.stderr.flush()
    # The job's files are written. An ordinary exit would only take torch's modules apart, which costs a second.
    os._exit(code)


def _run(job: Callable[[], None]) -> int:
    """The exit code of the job. A failure of ours is one line in the log, anything else a traceback."""
    try:
        job()
    except Stopped as stop:
        print(f"stopped: {stop}")
        return STOPPED
    except MillraceError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        _tell(f"{type(error).__name__}: {error}")
        return 1
    except Exception as error:
        # A defect: the log gets the whole traceback, SageMaker's FailureReason only its last line.
        traceback.print_exc()
        _tell(f"{type(error).__name__}: {error}")
        return 1
    return 0


def _tell(reason: str) -> None:
    """Write why the job failed: SageMaker reads `failure` of training jobs, `message` of processing jobs."""
    folder = ml_root() / "output"
    folder.mkdir(parents=True, exist_ok=True)
    # Only a file that is not there yet is written. Of several processes the first to fail is the cause; the others only
    # know that it is gone.
    for name in ("failure", "message"):
        with suppress(FileExistsError), (folder / name).open("x") as file:
            file.write(reason[:FAILURE_CHARACTERS])
