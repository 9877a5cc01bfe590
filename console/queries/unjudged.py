"""Decisions that no monitor run judges: older than the first window, or kept after their window was judged."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from console.queries.monitoring import MonitorRun
from console.queries.monitoring_limits import Limit
from console.queries.stored import find_object
from millrace.aws.objects import read_object
from millrace.decisions.absorbed import keys_taken
from millrace.decisions.record import day_of
from millrace.decisions.store import StoredObjects, rows_of, stored_days, stored_objects
from millrace.monitoring.windows import MOST_WINDOWS
from millrace.names import WorkloadNames

Rows = Mapping[str, int | None]
"""The number of decisions by the key of their object; None: the object says it."""
MOST_READ = 300
"""The decisions in so many objects are counted. If there are more, only the number of objects is given."""


def find_unjudged(s3: Any, names: WorkloadNames, runs: Sequence[MonitorRun], *, is_whole: bool) -> tuple[Limit, ...]:
    """A limit for decisions before the first judged window, and a limit for decisions that came after their window was
    judged.

    `is_whole` says that `runs` are all monitor runs. Otherwise it is not known what lies before their first window."""
    judged = [span for run in runs for span in _judged_by(run)]
    if not judged:
        return ()
    first, last = min(start for start, _ in judged), max(end for _, end in judged)
    # Decisions after the last judged window are still to be judged.
    days = [day for day in stored_days(s3, _bucket(names), names.workload) if day < last]
    stored = stored_objects(s3, _bucket(names), names.workload, days)
    rows = stored.rows
    older = {key: rows[key] for key in rows if day_of(key) < first} if is_whole else {}
    late = {key: rows[key] for key in sorted(_late(s3, runs, stored))}
    return tuple(_limits(s3, names, older, late, first))


def _judged_by(run: MonitorRun) -> list[tuple[date, date]]:
    """The windows whose input the run judged, as (start, end); `end` is not a part of the window."""
    return [(window.start.date(), window.end.date()) for window in run.report.windows if window.input]


def _late(s3: Any, runs: Sequence[MonitorRun], stored: StoredObjects) -> Iterator[str]:
    """Keys of objects in a run's judged windows that its manifest does not name; none if the manifest has expired.

    A manifest that names the file of absorbed lines names the objects that had them."""
    keys = stored.rows
    for run in runs:
        spans = _judged_by(run)
        read = _manifest(s3, run) if spans else None
        if read is not None:
            read |= {key for name in read & stored.absorbed.keys() for key in keys_taken(name, stored.absorbed[name])}
            inside = (key for key in keys if any(start <= day_of(key) < end for start, end in spans))
            yield from (key for key in inside if key not in read)


def _limits(s3: Any, names: WorkloadNames, older: Rows, late: Rows, first: date) -> Iterator[Limit]:
    if older:
        why = f"the monitors watch from {first} on; the first run goes back at most {MOST_WINDOWS} windows"
        yield Limit(what="old decisions are not judged", why=f"{_many(s3, names, older)}: {why}")
    if late:
        why = "they were kept after their window was judged, and a window is judged once"
        yield Limit(what="late decisions are not judged", why=f"{_many(s3, names, late)}: {why}")


def _many(s3: Any, names: WorkloadNames, objects: Rows) -> str:
    """How many decisions the objects have: `678 decisions, 2024-06-01 to 2024-08-30`."""
    days = [day_of(key) for key in objects]
    span = f"{days[0]} to {days[-1]}"
    unknown = [key for key, rows in objects.items() if rows is None]
    if len(unknown) > MOST_READ:
        return f"{len(objects):,} objects with decisions, {span}"
    known = sum(rows for rows in objects.values() if rows is not None)
    lines = known + sum(rows_of(key, read_object(s3, f"s3://{_bucket(names)}/{key}")) for key in unknown)
    return f"{lines:,} decisions, {span}"


def _manifest(s3: Any, run: MonitorRun) -> set[str] | None:
    """The keys of the objects that the run read; None if its manifest has expired."""
    content = find_object(s3, run.manifest_uri) if run.manifest_uri else None
    if content is None:
        return None
    # The manifest is `[{"prefix": "s3://<bucket>/…"}, "path", "path", …]`.
    first, *paths = json.loads(content)
    shared = first["prefix"].removeprefix("s3://").partition("/")[2]
    return {f"{shared}{path}" for path in paths}


def _bucket(names: WorkloadNames) -> str:
    return names.platform.bucket("lake")
