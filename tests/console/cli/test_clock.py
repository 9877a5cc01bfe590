"""How far the clock is to be moved."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from console.cli.clock import _target
from millrace.errors import RunError

NOW = datetime.fromisoformat("2026-03-01T12:00:00+00:00")


@pytest.mark.parametrize(("forward", "hours"), [("12h", 12), ("30d", 720), ("4w", 672), ("0h", 0)])
def test_a_time_forward_is_counted_from_now(forward: str, hours: int) -> None:
    assert _target(NOW, forward, "") == NOW + timedelta(hours=hours)


def test_a_moment_is_to_come() -> None:
    assert _target(NOW, "", "2026-04-01T00:00:00+02:00") == datetime.fromisoformat("2026-03-31T22:00:00+00:00")
    assert _target(NOW, "", "") is None
    for forward, to in (("", "2026-02-28T00:00:00Z"), ("", "2026-04-01"), ("-3d", ""), ("a month", "")):
        with pytest.raises(RunError, match=r"--(forward|to): expected"):
            _target(NOW, forward, to)
