"""Rule: a function that holds drops has room for them: the drop, its rows and its refused rows are in /tmp at once.

By default Lambda gives 512 MB. A function with a limit of 512 MB for a drop would then fail with a full disk, in place
of refusing a file that is too large."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from infra.rules.assembly import Stack, given
from infra.rules.finding import Finding

LIMIT = "MILLRACE_DROP_MB"
"""The environment variable with a function's limit for a drop, in MB."""
COPIES = 3
GIVEN_MB = 512
"""Lambda's default."""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each function with a smaller disk than three drops of its limit."""
    for stack in stacks:
        for function in stack.resources("AWS::Lambda::Function"):
            limit_mb = given(function.properties, "Environment", "Variables", LIMIT)
            room_mb = given(function.properties, "EphemeralStorage", "Size") or GIVEN_MB
            if limit_mb is not None and int(limit_mb) * COPIES > int(room_mb):
                expected = f"EphemeralStorage of {int(limit_mb) * COPIES} MB at least, {COPIES} × {LIMIT}"
                yield Finding(where=function.where, expected=expected, came=room_mb)
