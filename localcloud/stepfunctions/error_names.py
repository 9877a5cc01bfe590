"""Decides which errors a retrier or a catcher matches, as AWS documents it.

moto lets States.ALL match every error, and States.TaskFailed no error that begins with `States.`.
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import ErrorEqualsDecl
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName

from localcloud.kernel.patching import replace

RUNTIME, TOO_LARGE, TIMEOUT = "States.Runtime", "States.DataLimitExceeded", "States.Timeout"
EVERY, TASK_FAILED = "States.ALL", "States.TaskFailed"
"""The two names that match many errors."""


def matches(listed: Collection[str], error: str) -> bool:
    """Whether `ErrorEquals` with the names `listed` matches the error.

    - States.Runtime is matched by nothing: it always fails the execution.
    - States.DataLimitExceeded is matched by its own name.
    - States.Timeout is matched by its own name and by States.ALL.
    - Any other error is matched by its own name, by States.ALL and by States.TaskFailed."""
    if error == RUNTIME:
        return False
    if error in listed:
        return True
    if error == TOO_LARGE:
        return False
    return EVERY in listed or (TASK_FAILED in listed and error != TIMEOUT)


def match_as_documented() -> None:
    # May go when moto's retriers and catchers match as `matches` does.
    def evaluate(self: Any, env: Any) -> None:
        env.stack.append(matches([one.error_name for one in self.error_names], env.stack.pop().error_name or ""))

    replace(ErrorEqualsDecl, _eval_body=evaluate)
    # moto's constructor refuses the names `States.*`. But they leave a Parallel or Map state under these names, and a
    # mock may give one.
    replace(CustomErrorName, __init__=lambda self, error_name: ErrorName.__init__(self, error_name=error_name))
