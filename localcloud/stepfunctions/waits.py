"""Lets an execution wait by the cloud's clock: Wait states, retry intervals, task tokens, a machine's time limit.

moto waits by the clock of this computer: a Wait of a day would last a day, however the cloud's time is moved. Its retry
intervals cannot be interrupted, and its Wait for a timestamp takes the host's time zone for UTC.

Still moto's, so in real seconds: HeartbeatSeconds, and TimeoutSeconds of a task that waits for no token. The patches
may go when moto reads all its times from one clock that can be replaced.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timezone
from types import SimpleNamespace
from typing import Any

import moto.stepfunctions.parser.asl.component.state.state as state_module
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.common.retry.max_attempts_decl import MaxAttemptsOutcome
from moto.stepfunctions.parser.asl.component.common.retry.retrier_decl import RetrierDecl
from moto.stepfunctions.parser.asl.component.common.retry.retrier_outcome import RetrierOutcome
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.component.program.program import Program
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (
    StateTaskServiceCallback,
)
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.timestamp import Timestamp
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.eval.callback.callback import CallbackOutcomeTimedOut
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager

from localcloud.kernel.cloud import Cloud
from localcloud.kernel.patching import replace
from localcloud.stepfunctions.executions import stamp

_POLL_S = 0.1
"""Real seconds after which a waiting thread reads the cloud's clock again: a move of the clock wakes nobody."""
_LONG_S = 60.0
"""An execution whose wait has more seconds left counts as idle: only a move of the clock can end it soon."""
_FOR_EVER = float("inf")


class Waits(dict[int, tuple[str, float]]):
    """The waits under way: the execution's ARN, and the end of the wait on the cloud's clock (seconds).

    By the id of the waiting thread, since each branch of an execution waits on its own."""


def is_waiting(cloud: Cloud, execution_arn: str) -> bool:
    """Whether a branch of the execution is in a Wait with more than a minute left, or waits for a token."""
    kept = cloud.part(Waits)
    soon = cloud.clock.timestamp() + _LONG_S
    return any(arn == execution_arn and until > soon for arn, until in list(kept.values()))


@contextmanager
def _noted(cloud: Cloud, env: Any, until: float) -> Iterator[None]:
    """Note within the block that this thread waits until that time."""
    kept = cloud.part(Waits)
    kept[threading.get_ident()] = env.states.context_object.context_object_data["Execution"]["Id"], until
    try:
        yield
    finally:
        kept.pop(threading.get_ident(), None)


def pause(cloud: Cloud, env: Any, seconds: float) -> None:
    """Return after `seconds` of the cloud's clock, or soon after the execution was stopped."""
    end = cloud.clock.timestamp() + seconds
    with _noted(cloud, env, end):
        while env.is_running() and not cloud.stopping.is_set() and (left := end - cloud.clock.timestamp()) > 0:
            # In short steps: the clock may be moved meanwhile, and moto clears the event as soon as it has set it, so
            # that a thread may miss it.
            env.program_state_event.wait(min(left, _POLL_S))


def wait_by_clock(cloud: Cloud) -> None:
    _use_clock(cloud)
    replace(WaitFunction, _wait_interval=lambda _, env, wait_seconds: pause(cloud, env, wait_seconds))
    _wait_for_retries(cloud)
    _wait_for_tokens(cloud)
    _limit_programs(cloud)


def _use_clock(cloud: Cloud) -> None:
    """Let events, the context object and Waits for a timestamp read the cloud's clock."""

    # A stand-in for `datetime` in moto's module of states, which asks it for the present time only.
    class ClockTime(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> ClockTime:
            return cls.fromtimestamp(cloud.clock.timestamp(), tz or UTC)

        def isoformat(self, *_: Any, **__: Any) -> str:
            return stamp(datetime.fromtimestamp(self.timestamp(), UTC))

    # It writes the context object's EnteredTime.
    replace(state_module, datetime=SimpleNamespace(datetime=ClockTime, timezone=timezone))
    replace(EventManager, _get_current_timestamp=staticmethod(cloud.clock.now))

    def seconds_left(self: Any, env: Any) -> float:
        self.string.eval(env=env)
        text = env.stack.pop()
        if self._from_timestamp_string(text) is None:
            raise FailureEventException(self._create_failure_event(env, text))
        return (datetime.fromisoformat(text) - cloud.clock.now()).total_seconds()

    replace(Timestamp, _get_wait_seconds=seconds_left)


def _wait_for_retries(cloud: Cloud) -> None:
    # moto's own evaluation step by step, except for the pause, which moto sleeps through.
    def evaluate(self: Any, env: Any) -> None:
        self.error_equals.eval(env)
        if not env.stack.pop():
            env.stack.append(RetrierOutcome.Skipped)
            return
        self.max_attempts.eval(env=env)
        if env.stack.pop() == MaxAttemptsOutcome.EXHAUSTED:
            env.stack.append(RetrierOutcome.Failed)
            return
        for part in (self.interval_seconds, self.backoff_rate, self.max_delay_seconds, self.jitter_strategy):
            part.eval(env=env)
        pause(cloud, env, env.stack.pop())
        env.stack.append(RetrierOutcome.Executed)

    replace(RetrierDecl, _eval_body=evaluate)


def _wait_for_tokens(cloud: Cloud) -> None:
    # Ends with the token's answer, at the time limit, or when the execution is stopped.
    def wait(env: Any, seconds: float, endpoint: Any) -> Any:
        end = cloud.clock.timestamp() + seconds
        while env.is_running() and not cloud.stopping.is_set() and (left := end - cloud.clock.timestamp()) > 0:
            if endpoint._notify_event.wait(min(left, _POLL_S)):
                break
        return endpoint.get_outcome() or CallbackOutcomeTimedOut(callback_id=endpoint.callback_id)

    with_heartbeat: Any = StateTaskServiceCallback._eval_wait_for_task_token

    def evaluate(self: Any, env: Any, timeout_seconds: float, callback_endpoint: Any, heartbeat_endpoint: Any) -> Any:
        if self.resource.condition != "waitForTaskToken":
            # A `.sync` task: moto would let a second thread wait for a token that nobody has.
            return None
        with _noted(cloud, env, _FOR_EVER):
            if heartbeat_endpoint is not None:
                return with_heartbeat(self, env, timeout_seconds, callback_endpoint, heartbeat_endpoint)
            return wait(env, timeout_seconds, callback_endpoint)

    replace(StateTaskServiceCallback, _eval_wait_for_task_token=evaluate)


def _limit_programs(cloud: Cloud) -> None:
    """Count a machine's TimeoutSeconds by the cloud's clock."""

    def evaluate(self: Any, env: Any) -> None:
        env.next_state_name = self.start_at.start_at_name
        done = threading.Event()

        def run() -> None:
            EvalComponent.eval(self, env)
            done.set()

        # The program runs on a thread of its own. After a time limit this thread lives on until its task looks at the
        # state of the environment. The present thread waits in steps of at most a second, since the clock may move.
        limit_s = self.timeout_seconds.timeout_seconds if self.timeout_seconds else _FOR_EVER
        end = cloud.clock.timestamp() + limit_s
        cloud.background("program", run)
        while not cloud.stopping.is_set() and (left := end - cloud.clock.timestamp()) > 0:
            if done.wait(min(left, 1.0) if limit_s != _FOR_EVER else 1.0):
                return
        env.set_timed_out()

    replace(Program, eval=evaluate)
