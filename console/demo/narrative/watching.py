"""What the monitors saw: one window of event time from all reports that looked at it, who decided when, alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import groupby

from console.demo.answers import alarm_of, answer
from console.demo.driver import Answer
from console.demo.naming import alarm_name
from console.pages.story import Alarm, Reign, Window
from console.queries.executions import Execution
from millrace.messages.monitor import ErrorReport, InputReport, MonitorReport, WindowReport, WindowsPlanned


def windows(
    runs: Sequence[Execution], reports: Mapping[str, MonitorReport], bounds: Mapping[str, float]
) -> tuple[Window, ...]:
    """Each window once, in order of time: its input as it was judged first, its error as it is known last.

    `runs` are the monitor's executions in order of time; `reports` by their ARN; `bounds` of the error by the
    baseline's URI."""
    looks = [(window, run) for run in runs if run.arn in reports for window in reports[run.arn].windows]
    looks.sort(key=lambda look: look[0].start)
    grouped = (list(group) for _, group in groupby(looks, key=lambda look: (look[0].start, look[0].end)))
    found = (_window(group, reports, bounds) for group in grouped)
    return tuple(window for window in found if window)


def _window(
    looks: Sequence[tuple[WindowReport, Execution]], reports: Mapping[str, MonitorReport], bounds: Mapping[str, float]
) -> Window | None:
    """None for a window that was only there to make a row of successive ones."""
    inputs = [(window.input, run) for window, run in looks if window.input]
    if not inputs:
        return None
    seen, run = inputs[0]
    errors = [(window.error, run) for window, run in looks if window.error and window.error.error is not None]
    window = looks[0][0]
    return Window(
        start=window.start.date(),
        end=window.end.date(),
        rows=seen.rows,
        drift=seen.ratio,
        column=_column(seen),
        error=_over_bound(*errors[-1], bounds) if errors else None,
        error_in_a_row=errors[-1][0].ratio if errors else None,
        version=reports[run.arn].model_version,
    )


def _column(seen: InputReport) -> str:
    return seen.findings[0].column if seen.findings else ""


def _over_bound(error: ErrorReport, run: Execution, bounds: Mapping[str, float]) -> float | None:
    planned = answer(run, "plan_windows", WindowsPlanned)
    bound = bounds.get(planned.baseline_uri) if planned else None
    return None if bound is None or error.error is None else error.error / bound


def reigns(answers: Sequence[Answer]) -> tuple[Reign, ...]:
    """Which version answered on which days; days without an answer of a model are nobody's."""
    by_day = {each.day: each.versions[-1] for each in sorted(answers, key=lambda each: each.day) if each.versions}
    found = []
    for version, group in groupby(by_day, key=lambda day: by_day[day]):
        days = list(group)
        found.append(Reign(version=version, start=days[0], end=days[-1] + timedelta(days=1)))
    return tuple(found)


def alarms(runs: Sequence[Execution]) -> tuple[Alarm, ...]:
    """The changes of state that started `retrain`; `runs` are its executions."""
    return tuple(
        Alarm(name=name, at=run.started.date(), monitor="drift" if name == "input drift" else "error")
        for run in runs
        if (name := alarm_name(alarm_of(run)))
    )
