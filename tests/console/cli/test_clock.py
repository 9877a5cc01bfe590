"""How far the clock is to be moved."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from millrace.console.cli.local import _move, _target
from millrace.console.local_cloud.local_cloud import LocalCloud
from millrace.errors import RunError

NOW = datetime.fromisoformat("2026-03-01T12:00:00+00:00")


@pytest.mark.parametrize(("forward", "hours"), [("12h", 12), ("30d", 720), ("4w", 672), ("0h", 0), ("5d3h", 123)])
def test_a_time_forward_is_counted_from_now(forward: str, hours: int) -> None:
    assert _target(NOW, forward, "") == NOW + timedelta(hours=hours)


def test_a_moment_is_to_come() -> None:
    assert _target(NOW, "", "2026-04-01T00:00:00+02:00") == datetime.fromisoformat("2026-03-31T22:00:00+00:00")
    assert _target(NOW, "", "") is None
    for forward, to in (("", "2026-02-28T00:00:00Z"), ("", "2026-04-01"), ("-3d", ""), ("a month", "")):
        with pytest.raises(RunError, match=r"--(forward|to): expected"):
            _target(NOW, forward, to)


def test_a_line_names_what_is_waited_for_and_no_retry_is(capsys: pytest.CaptureFixture[str]) -> None:
    """A run ends at the second look, and a consumer's decisions come again later."""
    looks: list[str] = []

    class Busy(LocalCloud):
        def _control(self, route: str, body: Mapping[str, Any] | None = None) -> Any:
            looks.append(route)
            return {"running": ["train 0123"] * (looks.count("idle") < 2), "retries": ["decisions of crm"]}

    _move(Busy(endpoint_url="", secret=""), NOW, told_s=0.0)
    assert looks == ["clock", "idle", "idle"]
    assert capsys.readouterr().err.splitlines()[0] == "2026-03-01: waits for train 0123"
