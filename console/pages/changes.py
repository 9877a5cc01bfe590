"""Sentences on alarms and on what became of model versions, in the order of time: releases, rollbacks, refusals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from console.presenters.alarms import explain, monitor_run_before
from console.queries.answers import answer
from console.queries.executions import Execution
from console.queries.report import WorkloadReport
from console.queries.versions import NEVER
from console.words import day, listed, spelled
from millrace.messages.release import ReleaseStarted, Rollback

NEWEST = 3
"""How many alarms have a sentence each; so many have releases, rollbacks and refused models together."""

Sentence = tuple[datetime, str]
"""When it happened, and its sentence."""


def changes(report: WorkloadReport) -> list[str]:
    """The sentences on the newest alarms, and on the newest of all other changes."""
    newest = sorted([*_moved(report), *_refused(report)], key=_time)[-NEWEST:]
    return [sentence for _, sentence in sorted([*_alarmed(report), *newest], key=_time)]


def _time(sentence: Sentence) -> datetime:
    return sentence[0]


def _moves(report: WorkloadReport) -> list[Execution]:
    """The executions that made a version live, by a release or a rollback. One that restored an endpoint did not."""
    made_live = [run for run in report.of("release") if "advance_release" in run.output]
    return [run for run in made_live if not ((back := _rollback(run)) and back.restores)]


def _rollback(run: Execution) -> Rollback | None:
    asked = run.input.get("rollback")
    return Rollback.model_validate(asked) if asked else None


def _release_after(at: datetime, report: WorkloadReport) -> Execution | None:
    """The first release after this time that made a version live."""
    return next((run for run in _moves(report) if run.started > at and not _rollback(run)), None)


def _alarmed(report: WorkloadReport) -> Iterator[Sentence]:
    """A sentence for each of the newest alarms, with its cause and the version that was released after it."""
    for alarm in report.alarms[-NEWEST:]:
        run = monitor_run_before(report, alarm.at)
        cause = explain(alarm.name, run, report) if run else ""
        why = f" ({cause})" if cause else ""
        after = _release_after(alarm.at, report) if alarm.starts_retraining else None
        opened = answer(after, "start_release", ReleaseStarted) if after else None
        then = f" Version {opened.version} was released on {day(after.started)}." if opened and after else ""
        yield alarm.at, f"On {day(alarm.at)} the {spelled(alarm.name)} alarm was raised{why}.{then}"


def _moved(report: WorkloadReport) -> Iterator[Sentence]:
    """A sentence for each rollback, and for each release that no other sentence tells.

    The first sentence of the page tells the release of the live version, a sentence on an alarm the release after it.
    The release of a first version changed no other."""
    moves = _moves(report)
    mentioned = [_release_after(alarm.at, report) for alarm in report.alarms[-NEWEST:] if alarm.starts_retraining]
    for run in moves:
        opened, back = answer(run, "start_release", ReleaseStarted), _rollback(run)
        if opened is None:
            continue
        when = _when(run.started, [each.started for each in moves])
        if back:
            place = f" in the place of version {opened.previous_version}" if opened.previous_version.isdigit() else ""
            yield run.started, f"On {when} a rollback brought version {opened.version} back{place} ({back.reason})."
        elif opened.previous_version.isdigit() and run not in (*mentioned, moves[-1]):
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
