"""Rule: names that machines make at run time are short enough. SageMaker refuses a job with a name of 64 characters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from millrace.infra.rules.assembly import Finding, Stack, given, tasks

NAMES = {
    "createTrainingJob": ("TrainingJobName", 63),
    "createProcessingJob": ("ProcessingJobName", 63),
    "createTransformJob": ("TransformJobName", 63),
    "createModel": ("ModelName", 63),
    "createEndpointConfig": ("EndpointConfigName", 63),
    "createEndpoint": ("EndpointName", 63),
    "putMetricAlarm": ("AlarmName", 255),
    "putScalingPolicy": ("PolicyName", 256),
    "startExecution": ("Name", 80),
}
"""For each call, the parameter with the name and the most characters of it."""
LONGEST = {
    "$$.Execution.Name": 80,
    "$$.Execution.RedriveCount": 3,
    "$$.State.RetryCount": 1,
    "$.live_config.name": 63,
    "$.start_release.answer.label": len("v9999-1f0e4a"),
}
"""The most characters of each value, up to 999 redrives, nine retries and 9,999 versions."""
HASHES = {"MD5": 32, "SHA-1": 40, "SHA-256": 64, "SHA-384": 96, "SHA-512": 128}
PLAIN = r"[a-zA-Z0-9-]*"


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each name that may be too long, has other characters, or is of unknown length."""
    for task in tasks(stacks, *NAMES):
        key, most = NAMES[task.action]
        if (name := given(task.parameters, key)) is None:
            continue
        # A name under a plain key is a literal; under `Name.$` it is an expression, in which a literal has quotes.
        written = f"'{name}'" if key in task.parameters else name
        length = longest(written)
        if length is None:
            expected = f"{key} made of values whose length LONGEST knows"
            yield Finding(where=task.where, expected=expected, came=name)
        elif length > most:
            yield Finding(where=task.where, expected=f"{key} of {most} characters at most", came=f"{name}: {length}")
        if not all(re.fullmatch(PLAIN, part) for part in _plain(written)):
            yield Finding(where=task.where, expected=f"{key} in letters, digits and hyphens", came=name)


def longest(expression: str) -> int | None:
    """The most characters of the expression's value; None if unknown.

    A text in quotes has its own length, and `States.Format` has its literal parts and its arguments together."""
    if expression.startswith("'"):
        return len(expression) - 2
    function, arguments = _call(expression)
    if function == "States.Hash":
        return HASHES.get(arguments[1].strip("'"))
    if function == "States.UUID":
        return 36
    if function != "States.Format":
        return LONGEST.get(expression)
    lengths = [longest(value) for value in arguments[1:]]
    known = [length for length in lengths if length is not None]
    return None if len(known) < len(lengths) else len("".join(_plain(expression))) + sum(known)


def _plain(expression: str) -> list[str]:
    """The literal parts of a name, between its placeholders `{}`."""
    text = expression if expression.startswith("'") else _call(expression)[1][0]
    return text.strip("'").split("{}")


def _call(expression: str) -> tuple[str, list[str]]:
    """The intrinsic function and its arguments. A path counts as a function without arguments."""
    # A comma separates arguments if it is in no quotes and in no inner call: `depth` counts the open brackets.
    function, _, inside = expression.strip().partition("(")
    arguments, depth, quoted = [""], 0, False
    for character in inside.removesuffix(")"):
        quoted ^= character == "'"
        depth += 0 if quoted else (character == "(") - (character == ")")
        if character == "," and not depth and not quoted:
            arguments.append("")
        else:
            arguments[-1] += character
    return function, [argument.strip() for argument in arguments]
