"""Composite alarms: PutCompositeAlarm, which moto lacks, and the rule, such as `ALARM("a") AND NOT OK("b")`.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from localcloud.kernel.patching import replace

NOT_COVERED = ("ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod")


def take_composite_alarms() -> None:
    """Let PutCompositeAlarm make an alarm with a rule. May go when moto answers the call itself."""
    exceptions: Any = import_module("moto.cloudwatch.exceptions")
    responses: Any = import_module("moto.cloudwatch.responses").CloudWatchResponse

    def put_composite_alarm(self: Any) -> Any:
        for name in NOT_COVERED:
            if self._get_param(name) is not None:
                raise exceptions.ValidationError(f"{name} is not covered by the local cloud")
        # moto's handler of PutMetricAlarm reads AlarmRule too.
        return self.put_metric_alarm()

    replace(responses, put_composite_alarm=put_composite_alarm)


_STATE = re.compile(r"""\b(ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*["']?([^"')]+?)["']?\s*\)""")
_WORDS = {"AND": "and", "OR": "or", "NOT": "not", "TRUE": "True", "FALSE": "False"}


def holds(rule: str, states: Mapping[str, str]) -> bool:
    """Whether the rule is true. `states` has the state of each alarm by its name; the rule may name an alarm by ARN.

    Raises ValueError if the rule cannot be read, or names an alarm that does not exist."""

    # Each `ALARM("name")` becomes True or False, and AND, OR and NOT become Python's words, so that Python's parser can
    # read the rest. Nothing is executed: `_truth` takes only constants and these three operators.
    def decided(found: re.Match[str]) -> str:
        name = found[2].rsplit(":alarm:", 1)[-1]
        if name not in states:
            raise ValueError(f"alarm rule names {name!r}, which is no alarm")
        return str(states[name] == found[1])

    text = _STATE.sub(decided, rule)
    text = re.sub(r"\b(?:AND|OR|NOT|TRUE|FALSE)\b", lambda word: _WORDS[word[0]], text)
    try:
        return _truth(ast.parse(text.strip(), mode="eval").body)
    except SyntaxError as error:
        raise ValueError(f"cannot read alarm rule {rule!r}") from error


def _truth(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=bool() as value):
            return value
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _truth(operand)
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_truth(value) for value in values)
        case ast.BoolOp(op=ast.Or(), values=values):
            return any(_truth(value) for value in values)
    raise ValueError(f"cannot read {ast.unparse(node)!r} in an alarm rule")
