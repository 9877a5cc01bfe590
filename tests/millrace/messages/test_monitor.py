"""What a report says as a whole: the metrics and the cursors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from millrace.errors import SettingsError
from millrace.messages.monitor import ErrorReport, InputReport, MonitorReport, WindowReport, read_report
from millrace.monitoring.alarms import RATIO_ALARMS

DRIFT, ERROR = RATIO_ALARMS["input-drift"], RATIO_ALARMS["error"]

NEW_YEAR = datetime(1997, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


def window(
    k: int, *, ratio: float | None = 0.5, error_ratio: float | None = None, settled: bool = True, **none: Any
) -> WindowReport:
    told = InputReport(rows=336, usual_rows=336, ratio=ratio, findings=())
    wrong = ErrorReport(answered=336, labelled=336, champions=336, error=0.2, ratio=error_ratio, settled=settled)
    return WindowReport.model_validate(
        {
            "start": NEW_YEAR + k * WEEK,
            "end": NEW_YEAR + (k + 1) * WEEK,
            "decisions": 336,
            "input": told,
            "error": wrong,
        }
        | none
    )


def report(*windows: WindowReport, as_of: datetime | None = None) -> MonitorReport:
    return MonitorReport(
        workload="electricity",
        as_of=as_of or windows[-1].end,
        model_version="1",
        unreadable=0,
        windows=windows,
    )


def test_what_was_not_judged_is_no_number() -> None:
    found = report(window(0, ratio=None), window(1, input=None))
    assert (DRIFT.ratio(found), ERROR.ratio(found)) == (None, None)
    assert found.judged == 0


def test_the_input_is_done_also_where_a_window_was_too_thin() -> None:
    assert report(window(0), window(1, ratio=None)).input_cursor == NEW_YEAR + 2 * WEEK
    assert report(window(0, input=None)).input_cursor is None


def test_the_error_waits_for_labels_and_gives_up_at_last() -> None:
    late = (window(0), window(1, settled=False), window(2))
    assert report(*late).error_cursor == NEW_YEAR + WEEK
    assert report(*late, as_of=NEW_YEAR + 15 * WEEK).error_cursor == NEW_YEAR + 3 * WEEK
    assert report(window(0, error=None), window(1)).error_cursor == NEW_YEAR + 2 * WEEK
    assert report(window(0, error=None), window(1, settled=False)).error_cursor == NEW_YEAR + WEEK
    assert report(window(0, error=None)).error_cursor is None


def test_damage_is_named() -> None:
    with pytest.raises(SettingsError, match=r"report.json: as_of"):
        read_report(report(window(0)).model_dump_json().replace('"as_of"', '"asof"'))
