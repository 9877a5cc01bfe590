"""The report of one workload as one HTML file that loads nothing from the network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from millrace.console import words
from millrace.console.pages.explanations import explanations
from millrace.console.pages.pictures import curves, fan, reliability, truth_by_answer
from millrace.console.pages.rungs import rungs
from millrace.console.pages.summary import Fact, accepted_rows, facts, notes, refused_rows, summary
from millrace.console.pages.template import template
from millrace.console.pages.timeline import timeline
from millrace.console.pages.weeks import weeks
from millrace.console.presenters import gates
from millrace.console.queries.link import Link
from millrace.console.queries.monitoring import served_windows
from millrace.console.queries.report import WorkloadReport
from millrace.console.stages import command
from millrace.console.words import spelled
from millrace.evaluation.evidence import Estimate
from millrace.evaluation.gates.cases import CasesEvidence
from millrace.evaluation.gates.fairness import FairnessEvidence
from millrace.evaluation.gates.leakage import LeakageEvidence
from millrace.evaluation.gates.robustness import RobustnessEvidence
from millrace.evaluation.gates.slices import SlicesEvidence
from millrace.evaluation.report import Evaluation
from millrace.names import WorkloadNames
from millrace.tasks import figures
from millrace.tasks.metrics import ReliabilityBin

SHAPES = {"good": "●", "bad": "▲", "watch": "◆", "plain": "○"}
"""A sign for each tone of an entry, for readers who do not see the colours."""
STATES = {"checked": "✓ checked", "recorded": "· recorded", "broken": "✗ broken"}
"""The states of a link of the lineage as the page shows them."""
BAR = 132.0
"""Width of the bar of the largest drop, in pixels."""


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
        "other_metrics": lambda evaluation: list(other_metrics(evaluation)),
    }


def page(
    report: WorkloadReport,
    *,
    extra_facts: Sequence[Fact] = (),
    extra_notes: Sequence[str] = (),
    links: Sequence[PageLink] = (),
    is_live: bool = False,
) -> str:
    """The report as HTML. It is light or dark as the reader's system is. A part without content is left out.

    `extra_facts` and `extra_notes` come after the page's own. `links` stand above the title; a link to this page itself
    is among them. In the console the page is `is_live`: it reads itself again,
    and the decisions of each window are one click from its mark."""
    # Filters of the template by their names in it; below are the values that it shows.
    page = template("report.html.jinja", usd=words.usd, units=words.units, percent="{:.1%}".format, **MODEL_FILTERS)
    return page.render(
        report=report,
        links=links,
        summary=summary(report),
        facts=(*facts(report), *extra_facts),
        notes=(*notes(report), *extra_notes),
        timeline=timeline(report),
        chart=weeks(report, has_decisions=is_live),
        served=served_windows(report.windows, report.drops, report.rejected),
        landing=f"s3://{report.names.platform.bucket('landing')}/{report.names.workload}/",
        predictions=report.names.lake_uri("predictions", ""),
        chain=list(_chain(report.lineage)),
        accepted=", ".join(f"{rows:,} {what}" for what, rows in accepted_rows(report.drops)),
        refused=refused_rows(report.drops),
        # The page divides by it to get the width of a bar, so it is never 0.
        largest=max((drop.accepted + drop.quarantined for drop in report.drops), default=0) or 1,
        shapes=SHAPES,
        bar=BAR,
        **model_parts(report.names),
        made_at=report.now,
        is_live=is_live,
    )


def other_metrics(evaluation: Evaluation) -> Iterator[tuple[str, float, Estimate | None]]:
    """Name, figure and interval of each metric that says more than the error does.

    A metric is left out if it equals the error, and accuracy is left out if the error is a share of wrong answers."""
    error = evaluation.metrics.get("error")
    for name, figure in evaluation.metrics.items():
        if figure is not None and not (figure == error or (name == "accuracy" and evaluation.error.is_share)):
            interval = evaluation.intervals.get(name)
            yield figures.words(name), figure, interval if interval and math.isfinite(interval.low) else None


def _amount(error: float, evaluation: Evaluation) -> str:
    """One error of the evaluation: `82.29 µg/m³`, or `13.2% wrong` for a share."""
    return f"{error:.1%} wrong" if evaluation.error.is_share else evaluation.error.amount(error)


def _finite(bins: Iterable[ReliabilityBin]) -> list[ReliabilityBin]:
    """The bins whose confidence and accuracy are finite."""
    return [one for one in bins if math.isfinite(one.confidence) and math.isfinite(one.accuracy)]


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


MOST_SLICES = 12
"""How many slices are shown, the worst ones."""
MOST_PARTS = 12
"""If there are more horizons or labels, so many are shown, the first and the last among them."""
MOST_COLUMNS = 5
"""How many of the columns that were searched for leaks are shown, the most telling ones."""


@dataclass(frozen=True, kw_only=True)
class EvidenceTable:
    """A table: the first column says what a row is, all other columns are figures."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Row = tuple[str, ...]


def evidence(evaluation: Evaluation) -> tuple[EvidenceTable, ...]:
    """The tables for which the evaluation has figures. Intervals are of 95%."""
    promised = (_cases, _automation, _costs, _parts, _rivals, _seeds)
    looked_for = (_mistakes, _slices, _groups, _disparities, _damages, _leaks)
    made = [[*each(evaluation)] for each in (*promised, *looked_for)]
    return tuple(EvidenceTable(head=head, rows=tuple(rows)) for head, *rows in filter(None, made) if rows)


# Each of these yields the head of its table, then its rows.


def _parts(evaluation: Evaluation) -> Iterator[Row]:
    """A row for each horizon or label with its figures.

    The last column is the naive rule's log loss if the parts have one, else its error."""
    count = len(evaluation.parts)
    # MOST_PARTS places spread evenly from 0 to count - 1, both included.
    places = range(count) if count <= MOST_PARTS else [at * (count - 1) // (MOST_PARTS - 1) for at in range(MOST_PARTS)]
    parts = [evaluation.parts[at] for at in places]
    if not parts:
        return
    found = dict.fromkeys(name for part in parts for name in part.figures)
    # First the figures that all tasks share, in their fixed order, then those that only this task has.
    shown = [name for name, figure in figures.FIGURES.items() if figure.in_parts and name in found]
    own = [*shown, *(name for name in found if name not in figures.FIGURES)]
    compared = "log_loss" if "log_loss" in own else "error"
    # The error goes by what it is for this task.
    names = [error_name(evaluation) if name == "error" else figures.words(name) for name in own]
    yield "part of the answer", *names, f"{names[own.index(compared)]} of the naive rule"
    for part in parts:
        known = (_figure(name, part.figures.get(name)) for name in own)
        yield part.name, *known, _figure(compared, part.naive.get(compared))


def _figure(name: str, value: float | None) -> str:
    """A figure as text; "–" if it is not known."""
    known = figures.FIGURES.get(name)
    if value is None:
        return "–"
    return f"{value:.1%}" if known and known.is_share and name != "auc" else figures.short(value)


def _automation(evaluation: Evaluation) -> Iterator[Row]:
    """What the policy lets act: the promised error, the confidence found for it, and what the test rows say of it."""
    yield "answers that act by themselves", "from a confidence of", "share of the test rows", "wrong of them"
    if acting := evaluation.automation:
        found = "none keeps the promise" if acting.threshold is None else f"{acting.threshold:.3f}"
        shares = (f"{one.value:.1%}" if math.isfinite(one.value) else "–" for one in (acting.coverage, acting.error))
        yield f"at most {acting.promised_error:.1%} wrong", found, *shares


def _cases(evaluation: Evaluation) -> Iterator[Row]:
    """The named rows, with what each must be answered and what it was."""
    yield "named row", "must be", "is"
    for one in measured.cases if (measured := evaluation.of(CasesEvidence)) else ():
        yield f"{one.name}: {one.reason}", one.expected, f"{'✓' if one.is_right else '✗'} {one.came}"


def _costs(evaluation: Evaluation) -> Iterator[Row]:
    """What the answers cost by the policy, and what they would cost without it."""
    if costs := evaluation.costs:
        yield f"cost of 1,000 rows, {costs.currency}", "expected", "measured on the test rows"
        by_policy = f"{costs.coverage.value:.1%} automated, by the policy"
        for name, one in ((by_policy, costs.by_policy), ("all automated", costs.all_automated)):
            yield name, figures.short(one.expected), one.measured.words(",.0f")
        yield "all reviewed", *[figures.short(costs.all_reviewed)] * 2


def _rivals(evaluation: Evaluation) -> Iterator[Row]:
    yield "answers of", "rows", error_name(evaluation), "this model is better by"
    for one in evaluation.contenders:
        gain = one.improvements.get("error")
        better = "" if gain is None else with_interval(gain, evaluation, signed=True)
        yield one.name, f"{one.rows:,}", with_interval(one.scores["error"], evaluation), better


def _seeds(evaluation: Evaluation) -> Iterator[Row]:
    yield "the same training with", error_name(evaluation)
    for place, error in enumerate(evaluation.seed_errors):
        yield f"another seed, {place}" if place else "its own seed", evaluation.error.amount(error)


def _mistakes(evaluation: Evaluation) -> Iterator[Row]:
    yield "the most frequent mistakes", "rows", "of those of the class"
    for one in evaluation.mistakes:
        yield f"{one.truth}, answered as {one.answered}", f"{one.rows:,}", f"{one.rows / one.of:.1%}"


def _slices(evaluation: Evaluation) -> Iterator[Row]:
    yield "slice, the worst first", "rows", error_name(evaluation)
    found = measured.slices if (measured := evaluation.of(SlicesEvidence)) else ()
    # A slice whose error is not a number is sorted as the worst.
    judged = [(one.error, one) for one in found if one.error]
    for error, one in sorted(judged, key=lambda each: (math.isfinite(each[0].value), -each[0].value))[:MOST_SLICES]:
        yield f"{one.column} = {one.value}", f"{one.rows:,}", with_interval(error, evaluation)


def _groups(evaluation: Evaluation) -> Iterator[Row]:
    yield "group", "rows", error_name(evaluation), "selected", "found of the positive", "alarmed of the others"
    for one in measured.groups if (measured := evaluation.of(FairnessEvidence)) else ():
        rates = (one.selection_rate, one.true_positive_rate, one.false_positive_rate)
        shares = ("" if rate is None else f"{rate:.1%}" for rate in rates)
        yield f"{one.column} = {one.value}", f"{one.rows:,}", evaluation.error.amount(one.error), *shares


def _disparities(evaluation: Evaluation) -> Iterator[Row]:
    yield "between groups", "figure", "lowest", "highest"
    for one in measured.disparities if (measured := evaluation.of(FairnessEvidence)) else ():
        yield f"{one.column}: {spelled(one.measure)}", one.figure.words(".3f"), one.lowest, one.highest


def _damages(evaluation: Evaluation) -> Iterator[Row]:
    yield "damaged by", error_name(evaluation), "rise"
    for one in measured.damaged if (measured := evaluation.of(RobustnessEvidence)) else ():
        yield one.damage, with_interval(one.error, evaluation), with_interval(one.rise, evaluation, signed=True)


def _leaks(evaluation: Evaluation) -> Iterator[Row]:
    yield "column", "of a constant's error it removes alone"
    for one in measured.features[:MOST_COLUMNS] if (measured := evaluation.of(LeakageEvidence)) else ():
        yield one.column, f"{one.explained:.1%}"


def with_interval(figure: Estimate, evaluation: Evaluation, *, signed: bool = False) -> str:
    """A figure with its interval: "13.2% (12.1 to 14.4)" for a share, "53.1 (50.2 to 56)" for an amount."""
    sign: Literal["", "+"] = "+" if signed else ""
    is_share, unit = evaluation.error.is_share, "%" if evaluation.error.is_share else ""
    value, low, high = (
        f"{100 * end:{sign}.1f}" if is_share else figures.short(end, sign)
        for end in (figure.value, figure.low, figure.high)
    )
    return f"{value}{unit} ({low} to {high})" if math.isfinite(figure.low) else f"{value}{unit}, no interval"


def error_name(evaluation: Evaluation) -> str:
    """What the error is, with its unit if it has one: "mean absolute error, MW"."""
    unit = evaluation.error.unit
    return f"{evaluation.error.name}, {unit}" if unit else evaluation.error.name
