"""Rules of composite alarms."""

from __future__ import annotations

import pytest

from localcloud.cloudwatch.install import holds

STATES = {"errors": "ALARM", "drift high": "OK", "quiet": "INSUFFICIENT_DATA"}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("ALARM(errors)", True),
        ('ALARM("drift high")', False),
        ('ALARM(errors) AND NOT OK("drift high")', False),
        ("(ALARM(errors) AND INSUFFICIENT_DATA(quiet)) OR FALSE", True),
        ("ALARM(arn:aws:cloudwatch:eu-west-1:123456789012:alarm:errors)", True),
    ],
)
def test_rule(rule: str, expected: bool) -> None:
    assert holds(rule, STATES) is expected


@pytest.mark.parametrize("rule", ["ALARM(other)", "ALARM(errors) AND", "errors", "__import__('os')"])
def test_what_cannot_be_read_is_refused(rule: str) -> None:
    with pytest.raises(ValueError, match="alarm"):
        holds(rule, STATES)
