"""The head and the foot of the page: what happened in a few sentences, the figures that matter, the limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from console.demo.answers import answer, reason_of
from console.demo.naming import words
from console.demo.narrative.timeline import Lived, count, moved, worst
from console.pages.story import Cost, Fact, Story
from console.queries.executions import Execution
from millrace.messages.monitor import MonitorReport
from millrace.messages.release import ReleaseStarted
from millrace.messages.retrain import RetrainingDecided
from millrace.messages.train import DatasetPinned, GatesJudged, VersionRegistered
from millrace.timestamps import moment


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the demo itself measured while it lived."""

    seconds: float
    """On the wall, deployment not counted."""
    api_calls: int


def summary(lived: Lived) -> str:
    """A sentence for the first model, one for each alarm, one for what was refused."""
    return " ".join([*_first(lived), *_alarmed(lived), *_refused(lived), *_guarded(lived)])


def facts(lived: Lived, costs: Sequence[Cost], measured: Measured) -> tuple[Fact, ...]:
    """The figures at the head of the page; no cost where none is known."""
    rows = sum(each.rows - each.rejected for each in lived.answers)
    quarantined = sum(one.rows for group in lived.findings.refused.values() for one in group)
    judged = [run for run in lived.of("train") if answer(run, "gating", GatesJudged)]
    found = [
        Fact(figure=f"{rows:,}", what="decisions answered"),
        Fact(figure=f"{len(_released(lived))} of {len(judged)}", what="trained models released"),
        Fact(figure=f"{quarantined:,}", what="rows quarantined with their reasons"),
        Fact(figure=f"{measured.seconds:.0f} s", what="to live through fourteen months, deployment not counted"),
        Fact(figure=f"{measured.api_calls:,}", what="calls to AWS's API"),
    ]
    if costs:
        total = sum(cost.usd for cost in costs)
        found.append(Fact(figure=f"$ {total:,.0f}" if total >= 10 else f"$ {total:,.2f}", what=_dearest(costs, total)))
    return tuple(found)


def notes(lived: Lived, story: Story) -> tuple[str, ...]:
    """What the reader must know of limits; `story` has its windows already."""
    return (
        "Functions, jobs and the model's container ran for real, as processes of this machine. SageMaker's waiting for "
        "instances, spot interruptions and instance types were simulated.",
        "Nobody waited fourteen months: the cloud's clock was moved, and schedules fired on the way.",
        *_unjudged(lived, story),
        *_rows_before(lived),
        "Costs: seconds as measured here, where jobs start at once and cores differ from the instances'; the endpoint "
        "by the inputs' clock. Not counted: the key, alarms, logs, storage, queues, events, tables, the challengers' "
        "minutes, and what every account has free.",
    )


def _first(lived: Lived) -> Iterator[str]:
    for run in lived.of("train")[:1]:
        pinned, registered = answer(run, "snapshot", DatasetPinned), answer(run, "registration", VersionRegistered)
        evaluation = lived.findings.evaluations.get(run.name)
        if pinned and registered and evaluation:
            yield (
                f"{pinned.rows:,} labelled rows came in and trained version {registered.version}: "
                f"{evaluation.error.quality(evaluation.metrics['error'], decimals=0)} on days that it never saw, where "
                f"the naive rule is {evaluation.error.quality(evaluation.naive.metrics['error'], decimals=0)}."
            )


def _alarmed(lived: Lived) -> Iterator[str]:
    released = _released(lived)
    for step in lived.steps:
        if step.kind != "alarm":
            continue
        report = lived.findings.reports.get(step.caused_by or "")
        why = f" ({moved(report)})" if report and step.alarm == "input drift" and moved(report) else ""
        after = next((run for run in released if run.started > step.started), None)
        opened = answer(after, "start_release", ReleaseStarted) if after else None
        then = (
            f" Version {opened.version} was trained and released on {after.started:%-d %B}." if opened and after else ""
        )
        yield f"On {step.started:%-d %B %Y} an alarm went off, {step.alarm}{why}.{then}"


def _refused(lived: Lived) -> Iterator[str]:
    for run in lived.of("train"):
        gated = answer(run, "gating", GatesJudged)
        if gated and not gated.passed:
            gates = words([verdict.name for verdict in gated.refusals])
            yield f"The model trained on {run.started:%-d %B} did not pass ({gates}); nothing changed."


def _guarded(lived: Lived) -> Iterator[str]:
    refusals = [
        said for run in lived.of("retrain") if (said := answer(run, "guard", RetrainingDecided)) and not said.accepted
    ]
    if refusals:
        many = count(len(refusals), "request").capitalize()
        yield f"{many} for a retraining {'was' if len(refusals) == 1 else 'were'} refused, each with its reason."


def _released(lived: Lived) -> list[Execution]:
    return [run for run in lived.of("release") if "advance_release" in run.output]


def _dearest(costs: Sequence[Cost], total: float) -> str:
    dearest = max(costs, key=lambda cost: cost.usd)
    share = dearest.usd / total if total else 0
    part = "nearly all" if share > 0.99 else f"{share:.0%}"
    return f"it would cost on AWS, by estimate; {part} of it the {dearest.what.partition(',')[0]}"


def _unjudged(lived: Lived, story: Story) -> Iterator[str]:
    """Windows with labels whose error nobody judged."""
    without = {(window.start, window.end) for window in story.windows if window.error is None}
    labelled = {
        (window.start.date(), window.end.date())
        for report in lived.findings.reports.values()
        for window in report.windows
        if window.error and window.error.settled and window.error.error is None and window.error.answered
    }
    if found := sorted(without & labelled):
        first, last, many = found[0][0], found[-1][1], count(len(found), "window").capitalize()
        yield (
            f"{many} from {first:%-d %B} to {last:%-d %B} have labels but no error: the champion's bound speaks of its "
            "own decisions, and too many of these were another version's."
        )


def _rows_before(lived: Lived) -> Iterator[str]:
    """Retrainings that an alarm asked for before the labels of what had moved came."""
    for run in lived.of("train"):
        evaluation, asked = lived.findings.evaluations.get(run.name), _last_report(run, lived)
        window = worst(asked) if asked and reason_of(run) == "alarm" else None
        until = moment(evaluation.split.to) if evaluation else None
        if until and window and until <= window.start:
            yield (
                f"The model of {run.started:%-d %B %Y} was trained on labels up to {until:%-d %B}: those of what had "
                "moved came later, so what moved is still new to it and the alarm stays."
            )


def _last_report(run: Execution, lived: Lived) -> MonitorReport | None:
    """Of the monitor before this run."""
    before = [each for each in lived.of("monitor") if each.started < run.started and each.arn in lived.findings.reports]
    return lived.findings.reports[before[-1].arn] if before else None
