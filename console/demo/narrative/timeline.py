"""What happened, as a person would tell it: the quiet stretches in one line each, what matters one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from console.demo.answers import answer, committed_of, reason_of, source_of
from console.demo.driver import Answer
from console.demo.naming import WORDS, alarm_name, name_of, times, words
from console.demo.narrative.findings import Findings, Refused
from console.demo.steps import Step
from console.pages.story import Happening, Tone
from console.queries.executions import Execution
from millrace.messages.monitor import DriftFinding, MetricsPublished, MonitorReport, WindowReport
from millrace.messages.release import ReleaseStarted, SmokeTested
from millrace.messages.retrain import RetrainingDecided
from millrace.messages.score import Delivered
from millrace.messages.train import BudgetChecked, DatasetPinned, GatesJudged, VersionRegistered

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True, kw_only=True)
class Lived:
    """Everything that is known at the end."""

    steps: Sequence[Step]
    """In order of time."""
    executions: Mapping[str, Execution]
    """By ARN."""
    answers: Sequence[Answer]
    findings: Findings

    def of(self, machine: str) -> list[Execution]:
        """The machine's executions in order of time."""
        return [each for each in self.executions.values() if each.machine == machine]


def happenings(lived: Lived) -> tuple[Happening, ...]:
    """One for each thing that matters, one for each quiet stretch between."""
    return tuple(_tell(lived))


def _tell(lived: Lived) -> Iterator[Happening]:
    quiet: list[Step] = []
    for step in lived.steps:
        told = _loud(step, lived)
        if told is None:
            quiet.append(step)
            continue
        yield from _quiet(quiet, lived)
        quiet = []
        yield told
    yield from _quiet(quiet, lived)


def count(number: int, noun: str) -> str:
    """`eight files`, `one file`, `17 windows`."""
    return f"{NUMBERS[number] if number < len(NUMBERS) else f'{number:,}'} {noun}{'' if number == 1 else 's'}"


def _quiet(stretch: Sequence[Step], lived: Lived) -> Iterator[Happening]:
    """Files and decisions between two things that matter; nothing where only clocks were moved."""
    files = [lived.executions[step.id] for step in stretch if step.kind == "ingest"]
    training = [each for each in files if source_of(each).startswith("training/")]
    if training:
        yield _arrived(training, stretch)
    if any(step.kind in ("predictions", "monitor") for step in stretch) or len(files) > len(training):
        yield _worked(stretch, len(files) - len(training), lived)


def _arrived(files: Sequence[Execution], stretch: Sequence[Step]) -> Happening:
    rows = sum(made.rows_accepted for each in files if (made := committed_of(each)))
    names = sorted(source_of(each) for each in files)
    first, last = min(each.started for each in files), max(each.stopped for each in files)
    return Happening(
        at=first,
        what=f"{count(len(files), 'file')} with labels came in".capitalize(),
        detail=f"{names[0]} to {names[-1].partition('/')[2]}: {rows:,} rows accepted, none quarantined",
        seconds=(last - first).total_seconds() or sum(step.seconds for step in stretch),
    )


def _worked(stretch: Sequence[Step], label_files: int, lived: Lived) -> Happening:
    """Decisions, labels and monitors that found nothing; a monitor that set off an alarm is told with the alarm."""
    deeds = {step.id for step in stretch if step.kind == "predictions"}
    answers = [each for each in lived.answers if each.deed in deeds]
    alarming = {step.caused_by for step in lived.steps if step.kind == "alarm"}
    reports = [
        lived.findings.reports[step.id] for step in stretch if step.id in lived.findings.reports.keys() - alarming
    ]
    said = [f"{_days(answers)}, by version {_versions(answers)}"] if answers else []
    said += [f"{count(label_files, 'file')} with labels"] if label_files else []
    said += [_calm(reports)] if reports else []
    rows = sum(each.rows for each in answers)
    return Happening(
        at=stretch[0].started,
        what=f"{rows:,} decisions{', nothing moved' if reports else ''}" if rows else "Labels and monitors",
        detail="; ".join(said),
        seconds=sum(step.seconds for step in stretch if step.kind != "ingest"),
    )


def _days(answers: Sequence[Answer]) -> str:
    first, last = (pick(each.day for each in answers) for pick in (min, max))
    return f"about {first:%-d %B}" + (f" to {last:%-d %B}" if last != first else "")


def _versions(answers: Sequence[Answer]) -> str:
    return words(sorted({version for each in answers for version in each.versions})) or "none: the fallback answered"


def _calm(reports: Sequence[MonitorReport]) -> str:
    drifts = [ratio for report in reports if (ratio := report.input_ratio) is not None]
    errors = [ratio for report in reports if (ratio := report.error_ratio) is not None]
    said = f"{count(sum(report.judged for report in reports), 'window')} judged"
    said += f", drift at most {times(max(drifts))}" if drifts else ""
    said += f", error at most {times(max(errors))}" if errors else ""
    return f"{said} of its bound" if drifts or errors else said


def _loud(step: Step, lived: Lived) -> Happening | None:
    """The telling of a step that matters; None for what belongs to a quiet stretch."""
    execution = lived.executions.get(step.id)
    if step.kind == "alarm":
        return _alarm(step, lived)
    if execution is None:
        return None
    if not execution.is_good:
        return _happening(step, lived, name_of(execution), execution.failure or "see the execution's history", "bad")
    teller = TELLERS.get(step.kind)
    return teller(step, execution, lived) if teller else None


def _happening(step: Step, lived: Lived, what: str, detail: str, tone: Tone = "plain") -> Happening:
    cause = next((each for each in lived.steps if each.id == step.caused_by), None)
    because = cause.subject if cause else ""
    return Happening(at=step.started, what=what, detail=detail, tone=tone, because=because, seconds=step.seconds)


def _alarm(step: Step, lived: Lived) -> Happening:
    report = lived.findings.reports.get(step.caused_by or "")
    detail = moved(report) if report and step.alarm == "input drift" else ""
    return _happening(step, lived, f"Alarm: {step.alarm}", detail, "bad")


def moved(report: MonitorReport) -> str:
    """Which columns lie above their bound, and how far, by the window that moved most."""
    window = worst(report)
    if window is None or window.input is None:
        return ""
    above = [finding for finding in window.input.findings if finding.ratio > 1]
    columns = words(list(dict.fromkeys(finding.column for finding in above)))
    span = f"from {window.start:%-d %B} to {window.end:%-d %B}"
    return f"{columns}: {_statistic(above[0], window.input.rows)}, {span}" if above else ""


def worst(report: MonitorReport) -> WindowReport | None:
    """The window whose input moved most, the first of several; None where none was judged."""
    judged = [
        (window.input.ratio, window) for window in report.windows if window.input and window.input.ratio is not None
    ]
    return max(judged, key=lambda pair: pair[0])[1] if judged else None


def _statistic(finding: DriftFinding, rows: int) -> str:
    if finding.statistic == "differing_rows":
        return f"never moved in training, {finding.value:,.0f} of {rows:,} rows differ"
    return f"{finding.statistic.replace('_', ' ')} {times(finding.ratio)} × its bound"


def _ingested(step: Step, execution: Execution, lived: Lived) -> Happening | None:
    refused = lived.findings.refused.get(execution.name, ())
    if not refused:
        return None
    committed = committed_of(execution)
    accepted = f"{committed.rows_accepted:,} rows accepted, " if committed else ""
    detail = f"{accepted}{quarantined(refused)}"
    return _happening(step, lived, f"{source_of(execution)} came in with bad rows", detail, "watch")


def quarantined(refused: Sequence[Refused]) -> str:
    """`48 quarantined (duplicate key), for example timestamp: expected …`."""
    rows = sum(each.rows for each in refused)
    reasons = words([each.reason for each in refused])
    return f"{rows:,} quarantined ({reasons}): {refused[0].example}"


def _scored(step: Step, execution: Execution, lived: Lived) -> Happening:
    delivered = answer(execution, "delivery", Delivered)
    refused = lived.findings.refused.get(execution.name, ())
    said = [f"{delivered.rows:,} predictions delivered" if delivered else "rejected whole, nothing delivered"]
    said += [quarantined(refused)] if refused else []
    return _happening(step, lived, f"{source_of(execution)} was scored", ", ".join(said))


def _trained(step: Step, execution: Execution, lived: Lived) -> Happening:
    budgeted, pinned = answer(execution, "budget", BudgetChecked), answer(execution, "snapshot", DatasetPinned)
    gated, registered = answer(execution, "gating", GatesJudged), answer(execution, "registration", VersionRegistered)
    again = "First training" if reason_of(execution) == "first" else "Training"
    if gated is None:
        said = f"nothing was trained: {budgeted.reason}" if budgeted and budgeted.reason else ""
        return _happening(step, lived, f"{again} not started", said, "watch")
    rows = f"{pinned.rows:,} rows" if pinned else ""
    if pinned and pinned.absorbed:
        rows += f", {pinned.absorbed:,} of them decisions whose labels have come"
    if registered:
        said = f"{rows}; passed {count(len(gated.verdicts), 'gate')}: {gated.verdicts[-1].sentence}"
        return _happening(step, lived, f"{again}: version {registered.version}", said, "good")
    sentences = "; ".join(verdict.sentence for verdict in gated.refusals)
    refusal = f"{again}: model refused by {words([verdict.name for verdict in gated.refusals])}"
    return _happening(step, lived, refusal, f"{rows}; {sentences}", "bad")


def _released(step: Step, execution: Execution, lived: Lived) -> Happening:
    opened, probed = answer(execution, "start_release", ReleaseStarted), answer(execution, "smoke_test", SmokeTested)
    version = opened.version if opened else ""
    if opened and opened.outcome != "open":
        return _happening(step, lived, f"Version {version} not released", opened.outcome, "watch")
    said = [probed.sentence] if probed else []
    said += (
        [f"version {opened.previous_version} served on until then"]
        if opened and opened.previous_version.isdigit()
        else []
    )
    return _happening(step, lived, f"Version {version} released", "; ".join(said), "good")


def _monitored(step: Step, execution: Execution, lived: Lived) -> Happening | None:
    """Quiet, unless an alarm stays: then nobody but the monitor can ask the guard again."""
    published, report = answer(execution, "publish_metrics", MetricsPublished), lived.findings.reports.get(step.id)
    if published is None or not published.alarms or report is None:
        return None
    names = words([alarm_name(alarm) for alarm in published.alarms])
    return _happening(step, lived, f"The alarm stays: {names}", moved(report), "bad")


def _retrained(step: Step, execution: Execution, lived: Lived) -> Happening | None:
    guarded = answer(execution, "guard", RetrainingDecided)
    if guarded is None:
        return None
    if guarded.accepted:
        return _happening(step, lived, "Retraining accepted", guarded.sentence, "watch")
    until = f"; earliest {guarded.earliest_next:%-d %B %Y}" if guarded.earliest_next else ""
    refusal = f"Retraining refused: {WORDS.get(guarded.reason, guarded.reason)}"
    return _happening(step, lived, refusal, f"{guarded.sentence}{until}", "watch")


TELLERS = {
    "ingest": _ingested,
    "score": _scored,
    "train": _trained,
    "release": _released,
    "monitor": _monitored,
    "retrain": _retrained,
}
