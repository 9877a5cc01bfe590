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
"""Of `output/failure` and `output/message` SageMaker keeps this much."""
STOPPED = 143
"""Exit code after SIGTERM: 128 + 15. Not 0, or an unfinished job would count as completed."""


class Stopped(Exception):  # noqa: N818 it is no error
    """The platform stopped the job; its progress, where it had made any, is in the checkpoint."""


def ml_root() -> Path:
    """`/opt/ml`, or where MILLRACE_ML_ROOT puts it when a container runs as a process."""
    return Path(os.environ.get("MILLRACE_ML_ROOT", "/opt/ml"))


@dataclass(frozen=True, kw_only=True)
class Hosts:
    """The machines of a training job, as each of them is told."""

    names: tuple[str, ...]
    current: str
    """This one."""
    interface: str
    """The network interface that they reach each other by; empty where the platform names none."""


@dataclass(frozen=True, kw_only=True)
class TrainingPlaces:
    """The folders of a training job."""

    root: Path

    def channel(self, name: str) -> Path:
        """The folder of an input channel; raises SettingsError when the job has no such channel."""
        path = self.root / "input" / "config" / "inputdataconfig.json"
        channels = json.loads(path.read_bytes())
        if name not in channels:
            raise SettingsError(where=path.name, field=name, expected="a channel of this name", came=sorted(channels))
        return self.root / "input" / "data" / name

    @property
    def hosts(self) -> Hosts:
        """The job's machines: of resourceconfig.json, else of SM_HOSTS and SM_CURRENT_HOST, else this one alone."""
        path = self.root / "input" / "config" / "resourceconfig.json"
        said = json.loads(path.read_bytes()) if path.exists() else _hosts_of_toolkit()
        return Hosts(
            names=tuple(sorted(said["hosts"])),
            current=said["current_host"],
            interface=said.get("network_interface_name", ""),
        )

    @property
    def hyperparameters(self) -> dict[str, str]:
        """The job's own, as text; none where it was given none."""
        path = self.root / "input" / "config" / "hyperparameters.json"
        found: dict[str, str] = json.loads(path.read_bytes()) if path.exists() else {}
        return found

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
        """The folder of an input; raises SettingsError when it is not there."""
        if (path := self.optional(name)) is None:
            raise SettingsError(where="processing inputs", field=name, expected=f"{self._at(name)}", came="nothing")
        return path

    def optional(self, name: str) -> Path | None:
        """The folder of an input that a job may do without."""
        path = self._at(name)
        return path if path.is_dir() else None

    def output(self, name: str) -> Path:
        """The folder of an output, made if the platform did not."""
        path = self._at(name)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _at(self, name: str) -> Path:
        return self.root / "processing" / name


def _hosts_of_toolkit() -> dict[str, Any]:
    """What AWS's training toolkit sets for programs that it starts; the platform alone sets none of it."""
    names = json.loads(os.environ.get("SM_HOSTS", '["localhost"]'))
    return {"hosts": names, "current_host": os.environ.get("SM_CURRENT_HOST", names[0])}


class StopSignal:
    """Notes SIGTERM; SageMaker sends SIGKILL 120 s later."""

    def __init__(self) -> None:
        self.came = False
        signal.signal(signal.SIGTERM, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.came = True

    def check(self, when: str) -> None:
        """Raise Stopped, which says when, if the signal has come."""
        if self.came:
            raise Stopped(when)


def run(job: Callable[[], None]) -> NoReturn:
    """Run the job and exit: 0 done, 143 stopped, 1 failed with the reason where SageMaker reads it."""
    code = _run(job)
    sys.stdout.flush()
    sys.stderr.flush()
    # Its files are written: what is left is to take torch's modules apart, which costs a second.
    os._exit(code)


def _run(job: Callable[[], None]) -> int:
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
        # A defect of ours: the log gets all of it, FailureReason its last line.
        traceback.print_exc()
        _tell(f"{type(error).__name__}: {error}")
        return 1
    return 0


def _tell(reason: str) -> None:
    """SageMaker reads `failure` of training jobs, `message` of processing jobs.

    Of several processes the first to fail is the cause; that it is gone is all that the others know."""
    folder = ml_root() / "output"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("failure", "message"):
        with suppress(FileExistsError), (folder / name).open("x") as file:
            file.write(reason[:FAILURE_CHARACTERS])
