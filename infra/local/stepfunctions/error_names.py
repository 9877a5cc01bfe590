"""Which errors a retrier or a catcher matches.

moto lets States.ALL match every error, and States.TaskFailed none that begins with `States.`. AWS:
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import ErrorEqualsDecl
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName

from infra.local.kernel.patching import replace

RUNTIME, TOO_LARGE, TIMEOUT = "States.Runtime", "States.DataLimitExceeded", "States.Timeout"
EVERY, TASK_FAILED = "States.ALL", "States.TaskFailed"
"""The wildcards."""


def matches(listed: Collection[str], error: str) -> bool:
    """Whether `ErrorEquals` with these names matches the error.

    States.Runtime always fails the execution; States.DataLimitExceeded is matched by its own name alone."""
    if error == RUNTIME:
        return False
    if error in listed:
        return True
    if error == TOO_LARGE:
        return False
    return EVERY in listed or (TASK_FAILED in listed and error != TIMEOUT)


def match_as_documented() -> None:
    def evaluate(self: Any, env: Any) -> None:
        env.stack.append(matches([one.error_name for one in self.error_names], env.stack.pop().error_name or ""))

    replace(ErrorEqualsDecl, _eval_body=evaluate)
    # moto refuses the names `States.*` when they leave a Parallel or Map state, or come from a mock.
    replace(CustomErrorName, __init__=lambda self, error_name: ErrorName.__init__(self, error_name=error_name))
