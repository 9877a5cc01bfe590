"""The report of one workload as one HTML file that loads nothing from the network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from statistics import median
from typing import Any

from millrace.console import words
from millrace.console.pages.balance import balance_of
from millrace.console.pages.evidence import evidence
from millrace.console.pages.explanations import explanations
from millrace.console.pages.pictures import curves, fan, reliability, truth_by_answer
from millrace.console.pages.rungs import rungs
from millrace.console.pages.summary import Fact, accepted_rows, facts, notes, refused_rows, summary
from millrace.console.pages.template import template
from millrace.console.pages.timeline import timeline
from millrace.console.pages.weeks import weeks
from millrace.console.presenters import gates
from millrace.console.presenters.catalogue import titled
from millrace.console.queries.alarms import missing_labels
from millrace.console.queries.executions import Execution
from millrace.console.queries.link import Link
from millrace.console.queries.monitoring import ServedWindow, served_windows, staying_alarms
from millrace.console.queries.report import WorkloadReport
from millrace.console.stages import command
from millrace.evaluation.evidence import Estimate
from millrace.evaluation.report import Evaluation
from millrace.names import MACHINES, WorkloadNames
from millrace.tasks import figures
from millrace.tasks.metrics import ReliabilityBin

SHAPES = {"good": "●", "bad": "▲", "watch": "◆", "plain": "○"}
"""A sign for each tone of an entry, for readers who do not see the colours."""
STATES = {"checked": "✓ checked", "recorded": "· recorded", "broken": "✗ broken"}
"""The states of a link of the lineage as the page shows them."""
BAR = 132.0
"""Width of the bar of the largest drop, in pixels."""


@dataclass(frozen=True, kw_only=True)
class MachineRuns:
    """The executions of one machine in figures."""

    machine: str
    runs: int
    failed: int
    running: int
    seconds: float
    """The median of the executions' durations."""
    newest: str
    """The title of the newest execution."""
    at: datetime
    """When the newest execution started."""


@dataclass(frozen=True, kw_only=True)
class PageLink:
    """A link to the page of a workload in the same folder."""

    workload: str
    file: str
    """For example `report-xray.html`."""


def model_parts(names: WorkloadNames) -> dict[str, Any]:
    """What `model.html.jinja` calls, beside the value `model`."""
    return {
        "required": gates.required,
        "measured": gates.measured,
        "tone": gates.tone,
        "mark": gates.mark,
        "command": lambda step: command(names, *step.words),
        "curves": curves,
        "rungs": rungs,
        "evidence": evidence,
        "explanations": explanations,
        "fan": fan,
        "truth_by_answer": truth_by_answer,
        "reliability": lambda bins: reliability(_finite(bins)),
        "other_metrics": lambda evaluation: list(_other_metrics(evaluation)),
    }


def page(
    report: WorkloadReport,
    *,
    extra_facts: Sequence[Fact] = (),
    extra_notes: Sequence[str] = (),
    links: Sequence[PageLink] = (),
    has_decisions: bool = False,
) -> str:
    """The report as HTML. It is light or dark as the reader's system is. A part without content is left out.

    `extra_facts` and `extra_notes` come after the page's own. `links` stand above the title; a link to this page itself
    is among them. With `has_decisions`, the page of each window's decisions is one click from its mark."""
    # Filters of the template by their names in it; below are the values that it shows.
    page = template("report.html.jinja", usd=words.usd, units=words.units, percent="{:.1%}".format, **MODEL_FILTERS)
    staying = staying_alarms(report.names, report.runs)
    served = served_windows(report.windows, report.drops, report.rejected)
    return page.render(
        report=report,
        links=links,
        summary=summary(report),
        facts=(*facts(report), *extra_facts),
        notes=(*notes(report), *extra_notes),
        timeline=timeline(report),
        chart=weeks(report, staying, has_decisions=has_decisions),
        staying=staying,
        balance=balance_of(report),
        served=served,
        limits=list(_limits(report, served)),
        landing=f"s3://{report.names.platform.bucket('landing')}/{report.names.workload}/",
        predictions=report.names.lake_uri("predictions", ""),
        machines=[found for machine in MACHINES if (found := _machine(report, report.of(machine)))],
        chain=list(_chain(report.lineage)),
        accepted=", ".join(f"{rows:,} {what}" for what, rows in accepted_rows(report.drops)),
        refused=refused_rows(report.drops),
        # The page divides by it to get the width of a bar, so it is never 0.
        largest=max((drop.accepted + drop.quarantined for drop in report.drops), default=0) or 1,
        shapes=SHAPES,
        bar=BAR,
        **model_parts(report.names),
        made_at=report.now,
    )


def _limits(report: WorkloadReport, served: Sequence[ServedWindow]) -> Iterator[str]:
    """What the monitors cannot watch, and windows that others than the model answered unusually often, in sentences."""
    labels = missing_labels(report.windows)
    for limit in (*report.limits, *((labels,) if labels else ())):
        yield f"{limit.sentence[:1].upper()}{limit.sentence[1:]}."
    for one in served:
        for unusual in one.unusual:
            yield f"{one.window.start} to {one.window.end}: {unusual}."


def _other_metrics(evaluation: Evaluation) -> Iterator[tuple[str, float, Estimate | None]]:
    """Name, figure and interval of each metric that says more than the error does.

    A metric is left out if it equals the error, and accuracy is left out if the error is a share of wrong answers."""
    error = evaluation.metrics.get("error")
    for name, figure in evaluation.metrics.items():
        is_restated = figure == error or (name == "accuracy" and evaluation.error.is_share)
        if figure is not None and not is_restated:
            interval = evaluation.intervals.get(name)
            yield figures.words(name), figure, interval if interval and math.isfinite(interval.low) else None


def _amount(error: float, evaluation: Evaluation) -> str:
    """One error of the evaluation: `82.29 µg/m³`, or `13.2% wrong` for a share."""
    return f"{error:.1%} wrong" if evaluation.error.is_share else evaluation.error.amount(error)


def _finite(bins: Iterable[ReliabilityBin]) -> list[ReliabilityBin]:
    """The bins whose confidence and accuracy are finite."""
    return [one for one in bins if math.isfinite(one.confidence) and math.isfinite(one.accuracy)]


def _machine(report: WorkloadReport, runs: Sequence[Execution]) -> MachineRuns | None:
    """The figures of one machine's executions, oldest first; None if there are none."""
    if not runs:
        return None
    return MachineRuns(
        machine=runs[-1].machine,
        runs=len(runs),
        failed=sum(run.status not in ("RUNNING", "SUCCEEDED") for run in runs),
        running=sum(run.status == "RUNNING" for run in runs),
        seconds=median(run.seconds for run in runs),
        newest=titled(report.names, runs[-1]),
        at=runs[-1].started,
    )


def _chain(links: Sequence[Link]) -> Iterable[tuple[str, str, str, str]]:
    """Cards of the lineage: kind, identity, detail, state. Successive links of one kind and state share a card."""
    for (what, state), group in groupby(links, key=lambda link: (link.what, link.state)):
        first, *others = group
        detail = f"{first.detail}; and {words.count(len(others), 'other')} like it" if others else first.detail
        digest = f"; SHA-256 {first.digest[:12]}…" if first.digest else ""
        yield what, words.brief(first.identity), words.brief(f"{detail}{digest}"), STATES[state]


MODEL_FILTERS: Mapping[str, Callable[..., Any]] = {
    "number": "{:,}".format,
    "day": words.day,
    "days": words.days,
    "spelled": words.spelled,
    "figure": words.figure,
    "amount": _amount,
}
"""The filters of `model.html.jinja`."""
