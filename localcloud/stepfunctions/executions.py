"""One execution of a state machine: its worker, its status, its description and its events on the bus.

An execution has one worker for each run, each with an environment of its own (the object of moto that holds the state
of a running program). The first run begins with `start`, each later one with a redrive:

    start -> RUNNING -> SUCCEEDED | FAILED | TIMED_OUT | ABORTED
                ^                      |
                +------- redrive ------+
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

from moto.stepfunctions.exceptions import ExecutionDoesNotExist
from moto.stepfunctions.parser.api import ExecutionStatus, HistoryEventType
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext
from moto.stepfunctions.parser.asl.eval.program_state import ProgramEnded, ProgramError, ProgramTimedOut
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

from localcloud.kernel.cloud import Cloud
from localcloud.kernel.quotas import quota
from localcloud.sagemaker.api import in_milliseconds
from localcloud.stepfunctions.error_names import RUNTIME

# By `import_module`, so that they are of any type: moto's declared types do not have what is added here.
_execution: Any = import_module("moto.stepfunctions.parser.backend.execution")
_worker: Any = import_module("moto.stepfunctions.parser.backend.execution_worker")

_REDRIVABLE = {"FAILED", "TIMED_OUT", "ABORTED"}
_REDRIVE_WITHIN = timedelta(days=quota("states redrive", "time"))
"""AWS's redrivable period. It begins with the end of the execution."""
_LONGEST = timedelta(days=quota("states", "time"))
"""AWS's longest execution, redrives included."""
_MOST_EVENTS = quota("states", "history")
_REDRIVE_EVENTS = _MOST_EVENTS - 1
"""A history with fewer events than these has room for ExecutionRedriven and one more.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_RedriveExecution.html"""


class Executions(dict[str, "LocalExecution"]):
    """All executions of the cloud, by their ARNs."""


def executions(cloud: Cloud) -> Executions:
    """The executions of the cloud. A change of this dictionary is kept."""
    return cloud.part(Executions)


def find(cloud: Cloud, arn: str) -> LocalExecution:
    """The execution with this ARN. Raises moto's ExecutionDoesNotExist if there is none."""
    found = executions(cloud).get(arn)
    if found is None:
        raise ExecutionDoesNotExist(f"Execution Does Not Exist: '{arn}'")
    return found


class Worker(_worker.ExecutionWorker):  # type: ignore[misc]
    """Runs the program on a thread. Its environment exists from the start: Describe and Stop may come at once."""

    execution: LocalExecution

    def start(self) -> None:
        self.env = self._get_evaluation_environment()
        self.execution.cloud.background(f"execution-{self.execution.name}", self._execution_logic)

    def _get_evaluation_environment(self) -> Any:
        # moto's `_execution_logic` asks for an environment once more, and must get the same one.
        if self.env is not None:
            return self.env
        env = super()._get_evaluation_environment()
        data = env.states.context_object.context_object_data["Execution"]
        env.event_manager.add_event = self.execution.within_history(env)
        data["StartTime"] = stamp(self.execution.start_date)
        data["RedriveCount"] = self.execution.redrive_count
        if self.execution.redrive_date is not None:
            data["RedriveTime"] = stamp(self.execution.redrive_date)
        return env


class Redriven(Worker):
    """The worker of a redrive: goes on in the history of the execution, with the event ExecutionRedriven."""

    # moto's method with ExecutionRedriven in the place of ExecutionStarted.
    def _execution_logic(self) -> None:
        program = self._get_evaluation_entrypoint()
        self.env.event_manager.add_event(
            context=self.env.event_history_context,
            event_type=HistoryEventType.ExecutionRedriven,
            event_details={"executionRedrivenEventDetails": {"redriveCount": self.execution.redrive_count}},
        )
        program.eval(self.env)
        self._execution_communication.terminated()


class Communication(_execution.BaseExecutionWorkerCommunication):  # type: ignore[misc]
    """What the worker calls when its program has ended: it closes the execution with the program's outcome."""

    def __init__(self, execution: LocalExecution, env: Callable[[], Any]) -> None:
        super().__init__(execution)
        self._env = env

    def terminated(self) -> None:
        env = self._env()
        if env is not self.execution.env:
            # The worker of a former run: the execution was stopped while a task ran on, and was redriven since.
            return
        state = env.program_state()
        if isinstance(state, ProgramEnded):
            self.execution.close(ExecutionStatus.SUCCEEDED, output=env.states.get_input())
        elif isinstance(state, ProgramError):
            failure = state.error or {}
            self.execution.close(ExecutionStatus.FAILED, error=failure.get("error"), cause=failure.get("cause"))
        elif isinstance(state, ProgramTimedOut):
            self.execution.close(ExecutionStatus.TIMED_OUT)


class LocalExecution(_execution.Execution):  # type: ignore[misc]
    """moto's execution, with the cloud's time, events on the bus, redrives, and one event at the end of its history."""

    def __init__(self, *, cloud: Cloud, **given: Any) -> None:
        super().__init__(**given)
        self.cloud = cloud
        self.start_date = cloud.clock.now()
        self.stop_date: datetime | None = None
        self.exec_status = ExecutionStatus.RUNNING
        self.redrive_count = 0
        self.redrive_date: datetime | None = None
        self.redrive_tokens: dict[str, datetime] = {}
        """The client tokens of redrives, and the times that were answered to them, oldest first."""
        self.redriving = threading.Lock()
        self.earlier_tokens: list[Any] = []
        """moto's pools of the task tokens of former runs."""
        self.closed = False
        """Whether the present run has an outcome."""
        self.ended = threading.Event()
        """Set when the execution is closed and its event is on the bus."""
        self._closing = threading.Lock()
        executions(cloud)[self.execution_arn] = self

    @property
    def env(self) -> Any:
        """The environment of the present run."""
        assert self.exec_worker is not None
        return self.exec_worker.env

    def start(self) -> None:
        self.exec_worker = self.make_worker(Worker)
        self.put_status_event()
        self.exec_worker.start()

    def make_worker(self, kind: type[Worker]) -> Worker:
        """A worker for a new run, which does not run yet."""
        # moto makes one of its own class; only its details are taken over.
        worker = super()._get_start_execution_worker()
        made = kind(
            evaluation_details=worker._evaluation_details,
            exec_comm=None,
            cloud_watch_logging_session=None,
            activity_store={},
        )
        # The communication compares this worker's environment with that of the present run (see `terminated`).
        made.execution = self
        made._execution_communication = Communication(self, lambda: made.env)
        return made

    def stop_for(self, error: str | None, cause: str | None) -> None:
        """StopExecution: close the execution at once. A thread that runs a task learns of it within milliseconds."""
        # Taken before `close`: a closed execution may be redriven at once, and then has another environment.
        env = self.env
        if self.close(ExecutionStatus.ABORTED, error=error, cause=cause):
            env.set_stop(stop_date=self.stop_date, error=error, cause=cause)

    def close(
        self, status: ExecutionStatus, *, output: Any = None, error: str | None = None, cause: str | None = None
    ) -> bool:
        """Close the execution with this outcome. Returns False if it is closed already.

        The end of the program, a time limit and StopExecution may come at once: the first one counts."""
        with self._closing:
            # The status last: whoever reads the new status also finds the history, the end and the output.
            if self.closed:
                return False
            self._end_history(status, error, cause)
            self.stop_date = self.cloud.clock.now()
            self.output, self.error, self.cause = output, error, cause
            self.exec_status = status
            self.closed = True
        # The event comes after the status that it carries, and `ended` after the event: a parent that waits (`.sync`),
        # and the check whether the cloud is idle, find the event on the bus.
        self.put_status_event()
        self.ended.set()
        return True

    def within_history(self, env: Any) -> Callable[..., int]:
        """What adds events to the history of a run, and fails the execution when only its end has room in it.

        https://docs.aws.amazon.com/step-functions/latest/dg/bp-history-limit.html"""
        add, number = env.event_manager.add_event, env.event_manager._event_id_gen

        def add_event(context: Any, event_type: HistoryEventType, *given: Any, **named: Any) -> int:
            if number._next_id < _MOST_EVENTS or event_type.value.startswith("Execution"):
                return int(add(context, event_type, *given, **named))
            cause = f"The execution reached the maximum number of history events ({_MOST_EVENTS})."
            if self.close(ExecutionStatus.FAILED, error=RUNTIME, cause=cause):
                env.set_stop(stop_date=self.stop_date, error=RUNTIME, cause=cause)
            return 0

        return add_event

    def _end_history(self, status: ExecutionStatus, error: str | None, cause: str | None) -> None:
        """Write the last event of an execution that was stopped, has timed out or has a full history.

        moto writes the other last events itself, when the program ends."""
        env = self.env
        if status == ExecutionStatus.ABORTED:
            kind = HistoryEventType.ExecutionAborted
            details = {"executionAbortedEventDetails": {"error": error, "cause": cause}}
        elif status == ExecutionStatus.TIMED_OUT:
            kind, details = HistoryEventType.ExecutionTimedOut, {"executionTimedOutEventDetails": {}}
        elif status == ExecutionStatus.FAILED and env.event_manager._event_id_gen._next_id == _MOST_EVENTS:
            kind, details = (
                HistoryEventType.ExecutionFailed,
                {"executionFailedEventDetails": {"error": error, "cause": cause}},
            )
        else:
            return
        env.event_manager.add_event(EventHistoryContext.of_program_start(), kind, details)
        # The thread of a task may still run for a while. Its events are dropped, since none may follow the last one.
        env.event_manager.add_event = lambda *_, **__: 0

    def describe(self) -> dict[str, Any]:
        """The answer of DescribeExecution."""
        fields: dict[str, Any] = {
            "executionArn": self.execution_arn,
            "stateMachineArn": self.state_machine_arn,
            "name": self.name,
            "status": self.status,
            "startDate": self.start_date,
            "input": self.execution_input,
            "inputDetails": {"included": True},
            "redriveCount": self.redrive_count,
            **self._redrive_status(),
        }
        if self.redrive_date is not None:
            fields["redriveDate"] = self.redrive_date
        if self.status != "RUNNING":
            fields["stopDate"] = self.stop_date
        if self.status == "SUCCEEDED":
            fields["output"] = to_json_str(self.output, separators=(",", ":"))
            fields["outputDetails"] = {"included": True}
        return fields | {key: value for key in ("error", "cause") if (value := getattr(self, key)) is not None}

    def to_describe_state_machine_for_execution_output(self) -> dict[str, Any]:
        """The answer of DescribeStateMachineForExecution, with the definition with which the execution began.

        The machine may have another one since."""
        machine = self.state_machine
        return {
            "stateMachineArn": machine.arn,
            "name": machine.name,
            "definition": machine.definition,
            "roleArn": self.role_arn,
            "updateDate": machine.update_date,
            "loggingConfiguration": machine.loggingConfiguration,
            "tracingConfiguration": machine.tracingConfiguration,
        }

    def _redrive_status(self) -> dict[str, str]:
        reason = self.why_not_redrivable()
        if reason is None:
            return {"redriveStatus": "REDRIVABLE"}
        return {"redriveStatus": "NOT_REDRIVABLE", "redriveStatusReason": reason}

    def why_not_redrivable(self) -> str | None:
        """Why RedriveExecution is refused, in the words of AWS's DescribeExecution; None if it is allowed."""
        now = self.cloud.clock.now()
        if self.status not in _REDRIVABLE:
            return f"Execution is {self.status} and cannot be redriven"
        if self.stop_date is not None and now - self.stop_date > _REDRIVE_WITHIN:
            return "Execution redrivable period exceeded"
        if now - self.start_date > _LONGEST:
            return "Execution has exceeded the max execution time"
        if len(self.to_history_output()["events"]) >= _REDRIVE_EVENTS:
            return "Execution history event limit exceeded"
        return None

    def knows_token(self, token: str) -> bool:
        """Whether a task of this execution has or had this token, in this run or in one before a redrive."""
        pools = [*self.earlier_tokens, *([self.env.callback_pool_manager] if self.exec_worker else [])]
        return any(pool.get(token) is not None for pool in pools)

    def put_status_event(self) -> None:
        """Put on the default bus the event that AWS puts there at each change of status."""
        # AWS's event has all these fields, null where DescribeExecution leaves them out.
        nothing = dict.fromkeys(
            ("stopDate", "output", "outputDetails", "redriveDate", "redriveStatusReason", "error", "cause",
             "stateMachineVersionArn", "stateMachineAliasArn")
        )  # fmt: skip
        self.cloud.emit(
            "aws.states",
            "Step Functions Execution Status Change",
            nothing | in_milliseconds(self.describe()),
            resources=[self.execution_arn],
        )


def stamp(at: datetime) -> str:
    """A time as the context object shows it: `2026-01-31T09:00:00.000Z`."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
