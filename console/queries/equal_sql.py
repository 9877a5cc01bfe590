"""The SQL that gives the same as `millrace decisions` and `millrace quarantine`, for whoever wants to go on from there.

The commands read the files themselves: they require no workgroup, do not wait for Athena, read the newest day first and
stop when they have enough. They also compare each decision's input with its digest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from millrace.names import WorkloadNames


def decisions_sql(
    names: WorkloadNames, *, first: date | None, last: date | None, wanted: str = "", limit: int | None = None
) -> str:
    """SQL for the decisions about these days, the newest first. Of several lines with one id the last counts."""
    days = [f"date >= '{first}'"] * bool(first) + [f"date <= '{last}'"] * bool(last)
    where = _where([*days, *([f"eventmetadata.eventid = {_text(wanted)}"] if wanted else [])], " " * 6)
    return f"""\
SELECT eventmetadata.eventid AS id, millrace.event_time AS event_time, capturedata.endpointoutput.data AS output,
  millrace.model_version AS model_version, millrace.phase AS phase, millrace.fallback AS fallback,
  millrace.latency_ms AS latency_ms, eventmetadata.inferencetime AS inferred_at
FROM (SELECT *, row_number() OVER (PARTITION BY eventmetadata.eventid ORDER BY eventmetadata.inferencetime DESC) AS nth
      FROM {names.table("decisions")}{where})
WHERE nth = 1
ORDER BY event_time DESC{_limit(limit)}"""  # noqa: S608 # nosec B608 # printed, and its texts are quoted


def quarantine_sql(names: WorkloadNames, *, drop: str = "", reason: str = "", limit: int | None = None) -> str:
    """SQL for the refused rows with their first reason."""
    conditions = [f"reason = {_text(reason)}"] * bool(reason) + [f"strpos(source, {_text(drop)}) > 0"] * bool(drop)
    return f"""\
SELECT date, reason, column_name, expected, got, line, key, source
FROM {names.table("quarantine")}{_where(conditions)}
ORDER BY date, source, line{_limit(limit)}"""  # noqa: S608 # nosec B608 # printed, and its texts are quoted


def _where(conditions: Sequence[str], before: str = "") -> str:
    return f"\n{before}WHERE {' AND '.join(conditions)}" if conditions else ""


def _limit(limit: int | None) -> str:
    return f"\nLIMIT {limit}" if limit else ""


def _text(value: str) -> str:
    """The value as a literal of SQL."""
    return "'" + value.replace("'", "''") + "'"
