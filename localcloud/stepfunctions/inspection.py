"""Collects what TestState answers besides a state's output: the data on its way, and who took an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from moto.stepfunctions.parser.asl.component.common.catch.catch_decl import CatchDecl
from moto.stepfunctions.parser.asl.component.common.catch.catch_outcome import CatchOutcome
from moto.stepfunctions.parser.asl.component.common.catch.catcher_outcome import CatcherOutcomeCaught
from moto.stepfunctions.parser.asl.component.common.retry.retry_decl import RetryDecl
from moto.stepfunctions.parser.asl.component.common.retry.retry_outcome import RetryOutcome
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

_PARTS = {
    "input_path": "afterInputPath",
    "parargs": "afterParameters",
    "parameters": "afterParameters",
    "result": "result",
    "result_selector": "afterResultSelector",
    "result_path": "afterResultPath",
}
"""Attributes of moto's component of a state, and the field of the answer that each of them fills."""


@dataclass(kw_only=True)
class Inspected:
    """What the answer of TestState has besides the output."""

    data: dict[str, Any] = field(default_factory=dict)
    """The data after each step, as JSON texts: `{"input": "{…}", "afterInputPath": "{…}", "result": "{…}"}`."""
    error: dict[str, str] = field(default_factory=dict)
    """The error of a task that was retried or caught: `{"error": "States.Timeout", "cause": ""}`."""
    handler: dict[str, int] = field(default_factory=dict)
    """The retrier or catcher that took the error: `{"catchIndex": 0}`."""


class WouldRetryError(Exception):
    """Raised when a retrier matches that has an attempt left: TestState does not retry."""


class _Retry(RetryDecl):
    """The state's retriers. The first one that matches ends the test, or lets the catchers have the error."""

    def __init__(self, retriers: Any, inspected: Inspected, retries: int) -> None:
        super().__init__(retriers)
        self._inspected, self._retries = inspected, retries

    def _eval_body(self, env: Any) -> None:
        # moto's components speak by a stack: here lies the error's name, and `error_equals` takes it from there and
        # leaves whether it matches.
        error = env.stack.pop()
        for index, retrier in enumerate(self.retriers):
            env.stack.append(error)
            retrier.error_equals.eval(env)
            if not env.stack.pop():
                continue
            # As on AWS the first retrier that matches decides alone, even if its attempts are used up.
            if self._retries >= retrier.max_attempts.attempts:
                break
            self._inspected.handler = {"retryIndex": index, "retryBackoffIntervalSeconds": self._interval_s(retrier)}
            self._inspected.error = _error(env)
            raise WouldRetryError
        env.stack.append(RetryOutcome.CannotRetry)

    def _interval_s(self, retrier: Any) -> int:
        """Seconds before the next attempt. With a jitter: the most that they can be."""
        interval_s = retrier.interval_seconds.seconds * retrier.backoff_rate.rate**self._retries
        return int(min(interval_s, retrier.max_delay_seconds.max_delays_seconds))


class _Catch(CatchDecl):
    """The state's catchers. Keeps which of them has caught."""

    def __init__(self, catchers: Any, inspected: Inspected) -> None:
        super().__init__(catchers)
        self._inspected = inspected

    def _eval_body(self, env: Any) -> None:
        error = _error(env)
        for index, catcher in enumerate(self.catchers):
            catcher.eval(env)
            if isinstance(env.stack.pop(), CatcherOutcomeCaught):
                self._inspected.handler, self._inspected.error = {"catchIndex": index}, error
                env.stack.append(CatchOutcome.Caught)
                return
        env.stack.append(CatchOutcome.NotCaught)


def _error(env: Any) -> dict[str, str]:
    output = env.states.get_error_output()
    return {"error": output["Error"] or "", "cause": output["Cause"] or ""}


def inspect(state: Any, inspected: Inspected, retries: int) -> None:
    """Change moto's component of a state so that its evaluation fills `inspected`.

    `retries` is the number of attempts that the matching retrier has used up already."""
    if getattr(state, "retry", None):
        state.retry = _Retry(state.retry.retriers, inspected, retries)
    if getattr(state, "catch", None):
        state.catch = _Catch(state.catch.catchers, inspected)
    for attribute, key in _PARTS.items():
        if (part := getattr(state, attribute, None)) is not None:
            _note(part, "_eval_body", inspected.data, key)
    if hasattr(state, "_eval_execution"):
        _note(state, "_eval_execution", inspected.data, "result")


def _note(part: Any, method: str, data: dict[str, Any], key: str) -> None:
    """Let the method of this one object also write what it leaves on the stack into `data[key]`."""
    evaluate: Callable[[Any], None] = getattr(part, method)

    def noted(env: Any) -> None:
        evaluate(env)
        data[key] = to_json_str(env.stack[-1])

    setattr(part, method, noted)
