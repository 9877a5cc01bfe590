"""An account with one workload: its releases, what the functions do, and what goes wrong.

The functions are the real ones beside moto's services. The machine is the deployed definition, a state at a time.
Time stands still between two events."""

from __future__ import annotations

import heapq
import io
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from moto.cloudtrail.responses import CloudTrailResponse
from moto.core.responses import ActionResult
from moto.stepfunctions.exceptions import ExecutionAlreadyExists, ExecutionDoesNotExist
from moto.stepfunctions.responses import StepFunctionResponse

from localcloud.kernel.patching import replace
from localcloud.sagemaker.api import records
from localcloud.sagemaker.endpoints.endpoint import endpoints
from millrace.infra.machines.states import Definition
from millrace.messages.execution import UNWANTED
from millrace.state.pointers import ReleasePointers
from millrace.state.table import StateTable
from millrace.timestamps import format_utc
from tests.functions.cold_start import NAMES, Handler
from tests.release import interpreter
from tests.release.sagemaker import HandCloud

FUNCTIONS = ("start_release", "smoke_test", "advance_release", "judge_phase", "cleanup", "sweep")
ACCIDENTS = ("kill", "kill, answer lost", "time out", "redrive", "lose an event", "double an event", "sweep")
LONGEST_S = 75 * 24 * 3600
SWEEP_S = 7200
"""Twice the deployed interval: most of the time is the sweeps'."""


class FunctionKilledError(Exception):
    """The function's process ends at once, between two calls."""


@dataclass(kw_only=True)
class Execution:
    """One execution of a machine."""

    name: str
    machine: str
    input: str
    started: float
    state: str = "Defaults"
    data: Any = None
    before: tuple[str, Any] | None = None
    """The last state that ran, and its input: a redrive may begin there, if its answer was lost."""
    status: str = "RUNNING"
    error: str | None = None
    ended: float | None = None
    retries: int = 0
    redrives: int = 0
    run: int = 0
    """Grows with each start, end and redrive, so that what was planned before them is void."""
    path: list[str] = field(default_factory=list)

    @property
    def arn(self) -> str:
        return NAMES.execution_arn(self.machine, self.name)


@dataclass(kw_only=True)
class World:
    """The account. `handlers` are the functions, `definition` is the machine."""

    cloud: HandCloud
    definition: Definition
    handlers: Mapping[str, Handler]
    chance: Random
    client: Callable[[str], Any]
    approval: str = "none"
    has_sweep: bool = True
    executions: dict[str, Execution] = field(default_factory=dict)
    lost: int = 0
    """So many of the next events are lost."""
    doubled: int = 0
    """So many of the next events come twice."""
    kills: int | None = None
    """After so many of its calls the function that runs now is killed."""
    faulty: float = 0.0
    """The share of the functions' calls that are killed somewhere."""
    log: list[str] = field(default_factory=list)
    _agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: Any = field(default_factory=itertools.count)

    # Time

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.cloud.clock.seconds + seconds, next(self._numbers), act))

    def run(self, seconds: float, *, until: Callable[[], bool] = lambda: False) -> None:
        """Let so much time pass, or less if `until` says so."""
        end = self.cloud.clock.seconds + seconds
        while self._agenda and self._agenda[0][0] <= end:
            self.happen()
            if until():
                return
        self.cloud.clock.seconds = end

    def happen(self, *, within_s: float = math.inf) -> None:
        """Let the next thing happen that is due, if it is due within so many seconds."""
        if self._agenda and self._agenda[0][0] <= self.cloud.clock.seconds + within_s:
            at, _, act = heapq.heappop(self._agenda)
            self.cloud.clock.seconds = max(at, self.cloud.clock.seconds)
            act()

    def now(self) -> str:
        return format_utc(self.cloud.clock.now())

    def note(self, text: str) -> None:
        self.log.append(f"{self.now()} {text}")

    # Executions

    def start(self, given: Mapping[str, Any], name: str = "", *, machine: str = "release") -> Execution:
        name = name or f"run-{len(self.executions)}"
        if name in self.executions:
            raise ExecutionAlreadyExists(name)
        made = Execution(
            name=name, machine=machine, input=json.dumps(given), started=self.cloud.clock.seconds, data=dict(given)
        )
        self.executions[name] = made
        self.note(f"{name} starts with {made.input}")
        self._go_on(made, 0)
        run = made.run
        self.later(LONGEST_S, lambda: self.end(made, "TIMED_OUT", "States.Timeout") if made.run == run else None)
        return made

    def _go_on(self, one: Execution, seconds: float) -> None:
        run = one.run
        self.later(seconds, lambda: self._step(one) if one.run == run and one.status == "RUNNING" else None)

    def _step(self, one: Execution) -> None:
        state = self.definition["States"][one.state]
        one.before, here = (one.state, one.data), one.run
        one.path.append(one.state)
        if state["Type"] == "Wait":
            # The state after it begins when the time is over.
            one.state = state["Next"]
            return self._go_on(one, state["Seconds"])
        if str(state.get("Resource", "")).endswith(".sync"):
            stepped = self._job(one, state)
        else:
            context = {
                "Id": one.arn,
                "Name": one.name,
                "Input": json.loads(one.input),
                "StartTime": format_utc(
                    self.cloud.clock.now().fromtimestamp(one.started, self.cloud.clock.now().tzinfo)
                ),
                "RedriveCount": one.redrives,
            }
            stepped = interpreter.step(self.definition, one.state, one.data, context, retries=one.retries)
        if one.run != here or one.status != "RUNNING":
            return None  # somebody has stopped it meanwhile
        if stepped.again_s is not None:
            one.retries += 1
            return self._go_on(one, stepped.again_s)
        one.retries = 0
        if stepped.error:
            return self.end(one, "FAILED", stepped.error)
        if stepped.next is None:
            return self.end(one, "SUCCEEDED", None)
        one.state, one.data = stepped.next, stepped.output
        return self._go_on(one, self.chance.uniform(0.1, 3))

    def _job(self, one: Execution, state: Mapping[str, Any]) -> interpreter.Stepped:
        if self.chance.random() < self.cloud.luckless / 2:
            return interpreter.Stepped(output=one.data, error="States.TaskFailed")
        name = state["ResultPath"].removeprefix("$.")
        return interpreter.Stepped(output={**one.data, name: {"status": "Completed"}}, next=state["Next"])

    def end(self, one: Execution, status: str, error: str | None) -> None:
        if one.status != "RUNNING":
            return
        one.status, one.error, one.ended, one.run = status, error, self.cloud.clock.seconds, one.run + 1
        self.note(f"{one.name} {status} in {one.state} {error or ''}")
        detail = self.describe(one)
        self.deliver(f"end of {one.name}", lambda: self.tell_end(detail))

    def tell_end(self, detail: Mapping[str, Any]) -> None:
        event = {"cause": "event", "as_of": self.now(), "detail": detail}
        self.call("cleanup", event, attempts=3)
        if self.has_sweep and detail["status"] in UNWANTED:
            self.call("sweep", event, attempts=3)

    def kill(self, one: Execution, *, loses_answer: bool) -> None:
        """Stop it. With `loses_answer` it is stopped in the state that has just run, before its answer came."""
        if loses_answer and one.before and self.definition["States"][one.before[0]]["Type"] == "Task":
            one.state, one.data = one.before
        self.end(one, "ABORTED", None)

    def redrive(self, one: Execution) -> None:
        one.status, one.error, one.ended, one.retries = "RUNNING", None, None, 0
        one.redrives += 1
        one.run += 1
        self.note(f"{one.name} is redriven in {one.state}")
        self._go_on(one, 0)

    def befall(self, name: str, running: Sequence[Execution], ended: Sequence[Execution]) -> None:
        """Let one of the ACCIDENTS happen, to one of these executions where it is about one."""
        if name.startswith("kill") and running:
            self.kill(self.chance.choice(running), loses_answer="lost" in name)
        elif name == "time out" and running:
            self.end(self.chance.choice(running), "TIMED_OUT", None)
        elif name == "redrive" and ended:
            self.redrive(self.chance.choice(ended))
        elif name == "lose an event":
            self.lost += 1
        elif name == "double an event":
            self.doubled += 1
        elif name == "sweep":
            self.call("sweep", {"cause": "c", "as_of": self.now(), "detail": {"workload": "w", "schedule": "sweep"}})

    def describe(self, one: Execution) -> dict[str, Any]:
        return {
            "executionArn": one.arn,
            "stateMachineArn": NAMES.machine_arn(one.machine),
            "name": one.name,
            "status": one.status,
            "input": one.input,
            "error": one.error,
            "cause": None,
        }

    def running(self) -> list[Execution]:
        return [one for one in self.executions.values() if one.status == "RUNNING"]

    # Events

    def deliver(self, what: str, act: Callable[[], None]) -> None:
        """Bring an event to its target, a little later: never, once or twice."""
        if self.lost:
            self.lost -= 1
            self.note(f"lost: {what}")
            return
        times, self.doubled = (2, self.doubled - 1) if self.doubled else (1, 0)
        for _ in range(times):
            self.later(self.chance.uniform(0.5, 20), act)

    def told(self, source: str, kind: str, detail: dict[str, Any]) -> None:
        """An event of AWS's own. The rule for decided versions starts a release."""
        decided = detail.get("ModelApprovalStatus") in ("Approved", "Rejected")
        if self.approval == "person" and source == "aws.sagemaker" and kind.startswith("SageMaker Model") and decided:
            arn = detail["ModelPackageArn"]
            self.deliver(f"{detail['ModelApprovalStatus']} {arn}", lambda: self.release(arn))

    def release(self, package_arn: str) -> None:
        self.start({"cause": "event", "as_of": self.now(), "detail": {"package_arn": package_arn}})

    # Functions

    def call(self, function: str, event: Mapping[str, Any], *, attempts: int = 1) -> dict[str, Any] | Exception:
        """The answer of a function, or its error. Lambda repeats an asynchronous call that fails."""
        came: dict[str, Any] | Exception = FunctionKilledError()
        for _ in range(attempts):
            self.kills = self.chance.randrange(12) if self.chance.random() < self.faulty else None
            try:
                came = self.handlers[function](json.loads(json.dumps(event)))
            except Exception as error:
                self.note(f"{function}: {type(error).__name__}: {error}")
                came = error
            finally:
                self.kills = None
            if not isinstance(came, Exception):
                break
        return came

    def before_call(self) -> None:
        """Called before each call of a function to AWS."""
        if self.kills is not None:
            if self.kills == 0:
                self.kills = None
                raise FunctionKilledError
            self.kills -= 1

    def invoke(self, **given: Any) -> dict[str, Any]:
        """Lambda's Invoke, for the machine."""
        came = self.call(given["FunctionName"].rpartition("-")[2], json.loads(given["Payload"]))
        if not isinstance(came, Exception):
            return {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(came).encode())}
        name = "Runtime.ExitError" if isinstance(came, FunctionKilledError) else type(came).__name__
        document = {"errorType": name, "errorMessage": str(came)}
        return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(document).encode())}

    def sweep(self) -> None:
        if self.has_sweep:
            detail = {"workload": NAMES.workload, "schedule": "sweep"}
            self.call("sweep", {"cause": "schedule", "as_of": self.now(), "detail": detail}, attempts=3)
            self.later(SWEEP_S, self.sweep)

    # What is there

    def pointers(self) -> Any:
        return ReleasePointers(StateTable(self.client("dynamodb"), NAMES)).read()

    def served(self, endpoint: str) -> str:
        """The version behind the endpoint."""
        config = records(self.cloud).of("endpoint-config")[endpoints(self.cloud)[endpoint].fields["EndpointConfigName"]]
        model = records(self.cloud).of("model")[config["ProductionVariants"][0]["ModelName"]]
        return str(model["PrimaryContainer"]["Environment"]["MILLRACE_MODEL_VERSION"])


def serve_executions(world: Callable[[], World]) -> None:
    """Answer Step Functions' operations with the world's executions."""

    def shown(one: Execution) -> dict[str, Any]:
        described = {key: value for key, value in world().describe(one).items() if value is not None}
        begin = world().cloud.clock.now()
        dates = {"startDate": begin - timedelta(seconds=begin.timestamp() - one.started)}
        if one.ended is not None:
            dates["stopDate"] = begin - timedelta(seconds=begin.timestamp() - one.ended)
        return described | dates

    def find(self: Any) -> Execution:
        name = json.loads(self.body)["executionArn"].rpartition(":")[2]
        if name not in world().executions:
            raise ExecutionDoesNotExist(name)
        return world().executions[name]

    def start(self: Any) -> ActionResult:
        asked = json.loads(self.body)
        machine = asked["stateMachineArn"].rpartition("-")[2]
        one = world().start(json.loads(asked["input"]), asked["name"], machine=machine)
        return ActionResult({"executionArn": one.arn, "startDate": one.started})

    def stop(self: Any) -> ActionResult:
        world().end(find(self), "ABORTED", json.loads(self.body).get("error"))
        return ActionResult({"stopDate": world().cloud.clock.now()})

    def listed(self: Any) -> ActionResult:
        asked = json.loads(self.body)
        machine = asked["stateMachineArn"].rpartition("-")[2]
        found = [shown(one) for one in world().executions.values() if one.machine == machine]
        keep = ("executionArn", "stateMachineArn", "name", "status", "startDate", "stopDate")
        rows = [
            {key: one[key] for key in keep if key in one} for one in found if one["status"] == asked["statusFilter"]
        ]
        return ActionResult({"executions": rows})

    replace(
        StepFunctionResponse,
        describe_execution=lambda self: ActionResult(shown(find(self))),
        start_execution=start,
        stop_execution=stop,
        list_executions=listed,
    )
    # Nobody asks in here who has started a release.
    replace(CloudTrailResponse, lookup_events=lambda _: '{"Events": []}')
