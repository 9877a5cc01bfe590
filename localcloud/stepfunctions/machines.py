"""Serves state machines by moto's interpreter: definitions, executions, histories, redrive.

The parts are:

- `executions.py`: one execution, its life and its answers
- `tasks.py`, `optimized_tasks.py`: the calls of Task states
- `journal.py`, `redrive.py`: what an execution has done, and how it goes on after a failure
- `waits.py`, `error_names.py`: times, matching of errors
- `single_state.py`: the operation TestState

moto names an execution that is started without a name "None". Here it gets a name of its own."""

from __future__ import annotations

import functools
import json
import threading
from importlib import import_module
from typing import Any, cast

import moto.stepfunctions.models as standard
import moto.stepfunctions.parser.models as parsed
from moto.core.config import default_user_config
from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult
from moto.stepfunctions.exceptions import ValidationException
from moto.stepfunctions.parser.api import InvalidToken
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.component.state import state as states
from moto.stepfunctions.parser.asl.component.state.exec.state_task import state_task_lambda
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.responses import StepFunctionResponse

from localcloud.kernel.cloud import Cloud
from localcloud.kernel.patching import replace, replace_entries
from localcloud.kernel.quotas import quota
from localcloud.ledger.inventory import features_of_machine
from localcloud.ledger.ledger import uncovered
from localcloud.stepfunctions.error_names import TOO_LARGE, match_as_documented
from localcloud.stepfunctions.executions import LocalExecution, executions, find
from localcloud.stepfunctions.journal import keep_journal
from localcloud.stepfunctions.outcomes import failure
from localcloud.stepfunctions.redrive import redrive
from localcloud.stepfunctions.single_state import try_state
from localcloud.stepfunctions.tasks import call_as_role
from localcloud.stepfunctions.waits import is_waiting, wait_by_clock

# Keeps AWS's limit of 256 KiB for a state's input and output, and for a task's parameters and result.
#
# moto measures the JSON with spaces, refuses a value of exactly the limit, and never measures parameters.
# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html

LIMIT_BYTES = quota("states", "data")


def is_within_limit(value: Any) -> bool:
    """Whether the value, as JSON without spaces in UTF-8, has at most LIMIT_BYTES."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()) <= LIMIT_BYTES


def limit_payloads() -> None:
    # Each of these modules has imported the function under its own name. May go when moto measures as AWS does.
    for module in (states, state_task_lambda, state_task_service):
        replace(module, is_within_size_quota=is_within_limit)
    kind: Any = state_task_service.StateTaskService
    # moto calls this with the parameters before it makes the call.
    begin = kind._before_eval_execution

    def begin_within_limit(self: Any, env: Any, **given: Any) -> None:
        if not is_within_limit(given["raw_parameters"]):
            # In the words that AWS has for results.
            what = "parameters of a size exceeding the maximum number of bytes service limit."
            cause = f"The state/task '{self.name}' has {what}"
            raise FailureEventException(failure(self, env, TOO_LARGE, cause))
        begin(self, env, **given)

    replace(kind, _before_eval_execution=begin_within_limit)


_STATES = "moto.stepfunctions.parser.asl.component.state.exec"
_WITH_THREADS = (
    f"{_STATES}.execute_state",
    f"{_STATES}.state_map.iteration.inline_iteration_component",
    f"{_STATES}.state_parallel.branch_worker",
    f"{_STATES}.state_task.service.state_task_service_callback",
)
"""The modules in which moto starts threads of its own."""
_PAGE = 1000
"""The events on a page of a history, unless the caller says less."""


def pending(cloud: Cloud) -> list[str]:
    """The executions that run. One in a Wait with more than a minute left, or waiting for a token, does not count."""
    running = [one for one in list(executions(cloud).values()) if not one.ended.is_set()]
    return [f"execution {one.execution_arn}" for one in running if not is_waiting(cloud, one.execution_arn)]


def run_machines(cloud: Cloud) -> None:
    # moto has two backends: one that only keeps machines, and its parser's, which executes them. The setting gives API
    # calls the second one, and the replacement gives moto's own models the second one too.
    replace_entries(cast("dict[str, Any]", default_user_config), stepfunctions={"execute_state_machine": True})
    replace(standard, stepfunctions_backends=parsed.stepfunctions_parser_backends)
    replace(parsed, Execution=functools.partial(LocalExecution, cloud=cloud))
    match_as_documented()
    limit_payloads()
    # moto describes the whole definition in its log whenever a state fails.
    replace(EvalComponent, _log_failure_event_exception=_log_nothing, _log_exception=_log_nothing)
    _parse_once()
    _start(cloud)
    _answer(cloud)
    wait_by_clock(cloud)
    keep_journal()
    call_as_role(cloud)
    # moto appends each of its threads to a list that it never reads. Here the list is the cloud's, so that the end of
    # the cloud waits for them.
    for module in _WITH_THREADS:
        replace(import_module(module), TMP_THREADS=cloud.threads)
    cloud.at_stop(lambda: _end_all(cloud))


def _end_all(cloud: Cloud) -> None:
    """Stop every execution that runs, in all its branches. No event is sent: the bus stops too."""
    for execution in list(executions(cloud).values()):
        if execution.exec_worker is not None and not execution.ended.is_set():
            execution.env.set_stop(stop_date=cloud.clock.now(), error=None, cause=None)


def _log_nothing(*_: Any, **__: Any) -> None:
    return


def _parse_once() -> None:
    """Parse each definition once, not at each execution: one of thirty states takes a large part of a second."""
    # Executions may share the parsed program: moto keeps what changes (attempts, results) in their environments. May
    # go when moto parses once.
    read = AmazonStateLanguageParser.parse

    @functools.lru_cache(maxsize=256)
    def parse(definition: str) -> Any:
        # What moto would accept, and then ignore or fail at without a reason.
        if lacking := uncovered(("state machine", one) for one in features_of_machine(json.loads(definition))):
            raise NotImplementedError(f"the local cloud does not cover: {'; '.join(lacking)}")
        return read(definition)

    replace(AmazonStateLanguageParser, parse=staticmethod(parse))


def _start(cloud: Cloud) -> None:
    import uuid

    backend = parsed.StepFunctionsParserBackend
    start, lock = backend.start_execution, threading.Lock()

    def start_execution(
        self: Any,
        state_machine_arn: str,
        name: str | None = None,
        execution_input: Any = None,
        trace_header: Any = None,
    ) -> Any:
        given = execution_input if execution_input is not None else "{}"
        if len(given.encode()) > LIMIT_BYTES:
            raise ValidationException(f"Input must have length less than or equal to {LIMIT_BYTES} bytes")
        if name:
            self._validate_name(name)
        # moto looks whether the name is free, then takes it: two equal starts at once must not both find it free.
        with lock:
            return start(self, state_machine_arn, name or str(uuid.uuid4()), given, trace_header)

    replace(
        backend,
        start_execution=start_execution,
        describe_execution=lambda _, execution_arn: find(cloud, execution_arn),
        **{name: _timed_out(cloud, name) for name in ("send_task_success", "send_task_failure", "send_task_heartbeat")},
    )


def _timed_out(cloud: Cloud, operation: str) -> Any:
    """An operation that answers TaskTimedOut for the token of a task that is over, as AWS does.

    moto answers InvalidToken, as for an unknown token. May go when moto tells them apart."""
    send = getattr(parsed.StepFunctionsParserBackend, operation)

    def answer(self: Any, task_token: str, *given: Any, **named: Any) -> Any:
        try:
            return send(self, task_token, *given, **named)
        except InvalidToken:
            if any(execution.knows_token(task_token) for execution in list(executions(cloud).values())):
                raise AWSError("Task Timed Out: 'Provided task does not exist anymore'", "TaskTimedOut") from None
            raise AWSError("Invalid Token", "InvalidToken") from None

    return answer


def _page(response: Any, key: str, rows: list[Any], usual: int) -> ActionResult:
    """The page of the rows that the request wants; of `usual` length, if it does not say."""
    start = int(response._get_param("nextToken") or 0)
    end = start + int(response._get_param("maxResults") or usual)
    return ActionResult({key: rows[start:end], **({"nextToken": str(end)} if end < len(rows) else {})})


def _answer(cloud: Cloud) -> None:
    """Answer the operations on one execution from `executions.py`, and the operation TestState."""

    def describe(self: Any) -> ActionResult:
        return ActionResult(find(cloud, self._get_param("executionArn")).describe())

    def own_definition(self: Any) -> ActionResult:
        # moto answers the definition that the machine has now. An execution keeps the one with which it began.
        execution = find(cloud, self._get_param("executionArn"))
        return ActionResult(execution.to_describe_state_machine_for_execution_output())

    def stop(self: Any) -> ActionResult:
        execution = find(cloud, self._get_param("executionArn"))
        execution.stop_for(self._get_param("error"), self._get_param("cause"))
        return ActionResult({"stopDate": execution.stop_date})

    def history(self: Any) -> ActionResult:
        events = find(cloud, self._get_param("executionArn")).to_history_output()["events"]
        if self._get_param("reverseOrder"):
            events.reverse()
        return _page(self, "events", events, _PAGE)

    def redrive_execution(self: Any) -> ActionResult:
        execution = find(cloud, self._get_param("executionArn"))
        return ActionResult({"redriveDate": redrive(execution, self._get_param("clientToken"))})

    def fail_task(self: Any) -> ActionResult:
        # moto drops the cause. May go when moto keeps it.
        self.stepfunction_backend.send_task_failure(
            self._get_param("taskToken"), error=self._get_param("error"), cause=self._get_param("cause")
        )
        return ActionResult({})

    def listed(self: Any) -> ActionResult:
        machine = self.stepfunction_backend.describe_state_machine(self._get_param("stateMachineArn"))
        wanted = self._get_param("statusFilter")
        if wanted == "PENDING_REDRIVE" or self._get_param("redriveFilter"):
            raise ValidationException("A filter of redrives needs mapRunArn, not stateMachineArn")
        rows = [one.describe() for one in machine.executions if wanted in (None, one.status)]
        rows.sort(key=lambda row: row["startDate"], reverse=True)
        return _page(self, "executions", rows, 100)

    def single_state(self: Any) -> ActionResult:
        return ActionResult(try_state(cloud, json.loads(self.body)))

    replace(
        StepFunctionResponse,
        test_state=single_state,
        describe_execution=describe,
        describe_state_machine_for_execution=own_definition,
        stop_execution=stop,
        get_execution_history=history,
        redrive_execution=redrive_execution,
        send_task_failure=fail_task,
        list_executions=listed,
    )
