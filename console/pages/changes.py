"""Sentences on alarms and on what became of model versions, in the order of time: releases, rollbacks, refusals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from millrace.console.presenters.alarms import explain, monitor_run_before
from millrace.console.presenters.release import live_since
from millrace.console.queries.executions import Execution, answer
from millrace.console.queries.monitoring import AlarmRaised
from millrace.console.queries.report import WorkloadReport
from millrace.console.queries.versions import NEVER
from millrace.console.words import day, listed, spelled
from millrace.messages.release import ReleaseStarted, Rollback

NEWEST = 3
"""How many alarms have a sentence each; so many have releases, rollbacks and refused models together."""

Sentence = tuple[datetime, str]
"""When it happened, and its sentence."""


def changes(report: WorkloadReport) -> list[str]:
    """The sentences on the newest alarms, and on the newest of all other changes."""
    moves = _moves(report)
    # The release after an alarm is told with the alarm.
    after = [_release_after(alarm, moves) for alarm in report.alarms[-NEWEST:]]
    newest = sorted([*_moved(moves, after, report), *_refused(report)], key=_time)[-NEWEST:]
    return [sentence for _, sentence in sorted([*_alarmed(report, after), *newest], key=_time)]


def _time(sentence: Sentence) -> datetime:
    return sentence[0]


def _moves(report: WorkloadReport) -> list[Execution]:
    """The executions that made a version live, by a release or a rollback. One that restored an endpoint did not."""
    made_live = [run for run in report.of("release") if "advance_release" in run.output]
    return [run for run in made_live if not ((back := _rollback(run)) and back.restores)]


def _rollback(run: Execution) -> Rollback | None:
    asked = run.input.get("rollback")
    return Rollback.model_validate(asked) if asked else None


def _release_after(alarm: AlarmRaised, moves: Sequence[Execution]) -> Execution | None:
    """The first release after an alarm that starts a retraining; None for another alarm."""
    later = (run for run in moves if alarm.starts_retraining and run.started > alarm.at and not _rollback(run))
    return next(later, None)


def _alarmed(report: WorkloadReport, releases: Sequence[Execution | None]) -> Iterator[Sentence]:
    """A sentence for each of the newest alarms, with its cause and the version that was released after it."""
    for alarm, after in zip(report.alarms[-NEWEST:], releases, strict=True):
        run = monitor_run_before(report, alarm.at)
        cause = explain(alarm.name, run, report) if run else ""
        why = f" ({cause})" if cause else ""
        opened = answer(after, "start_release", ReleaseStarted) if after else None
        since = (live_since(after, report) or after.started) if after else None
        then = f" Version {opened.version} was released on {day(since)}." if opened and since else ""
        yield alarm.at, f"On {day(alarm.at)} the {spelled(alarm.name)} alarm was raised{why}.{then}"


def _moved(
    moves: Sequence[Execution], after_alarms: Sequence[Execution | None], report: WorkloadReport
) -> Iterator[Sentence]:
    """A sentence for each rollback, and for each release that no other sentence tells.

    The first sentence of the page tells the release of the live version, a sentence on an alarm the release after it.
    The release of a first version changed no other."""
    for run in moves:
        opened, back = answer(run, "start_release", ReleaseStarted), _rollback(run)
        if opened is None:
            continue
        since = live_since(run, report)
        is_later = since is not None and since != run.started.date()
        when = day(since) if since and is_later else _when(run.started, [each.started for each in moves])
        if back:
            place = f" in the place of version {opened.previous_version}" if opened.previous_version.isdigit() else ""
            yield run.started, f"On {when} a rollback brought version {opened.version} back{place} ({back.reason})."
        elif opened.previous_version.isdigit() and run not in (*after_alarms, moves[-1]):
            yield run.started, f"Version {opened.version} was released on {when}."


def _refused(report: WorkloadReport) -> Iterator[Sentence]:
    """A sentence for each model that a gate refused."""
    trained = [model.version.trained_at for model in report.models if model.version.trained_at]
    for version in (model.version for model in report.models if not model.is_passed):
        gates = listed([gate.name for gate in version.gates if not gate.passed])
        when = f" on {_when(version.trained_at, trained)}" if version.trained_at else ""
        yield version.trained_at or NEVER, f"The model trained{when} did not pass ({gates}); nothing changed."


def _when(at: datetime, others: Sequence[datetime]) -> str:
    """The day, and the time as well if another of the moments is on the same day: `1 July 1997 at 06:00 UTC`."""
    at, beside = at.astimezone(UTC), [each.astimezone(UTC) for each in others if each != at]
    if not any(each.date() == at.date() for each in beside):
        return day(at)
    is_close = any(abs(each - at) < timedelta(minutes=1) for each in beside)
    return f"{day(at)} at {at:{'%H:%M:%S' if is_close else '%H:%M'}} UTC"
