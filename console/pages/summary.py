"""The head and the foot of the page: the live version in a few sentences, figures, and their limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from millrace.console.queries.drops import Drop
from millrace.console.queries.report import JudgedModel, WorkloadReport
from millrace.console.queries.versions import losses_beside
from millrace.console.words import count, day, last_day, span

RECENT = 4
"""How many windows the recent decisions are counted over."""
ACCEPTED = {"training": "training rows accepted", "scoring": "rows scored", "labels": "labels accepted"}
"""By feed, what its accepted rows are."""
CLOSE = 0.01
"""Two shares that differ by at most this much are written with one decimal."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One figure at the head of the page."""

    figure: str
    """For example `41.2 s`."""
    what: str
    """What the figure is."""


def summary(report: WorkloadReport) -> str:
    """Sentences about the live version. What led to it is on the timeline."""
    return " ".join(_live(report))


def facts(report: WorkloadReport) -> Iterator[Fact]:
    """The figures at the head of the page, as far as there is anything to count."""
    passed = sum(model.is_passed for model in report.models)
    if report.models:
        yield Fact(figure=f"{passed} of {len(report.models)}", what="trained models passed their gates")
    if report.drops:
        first, *others = accepted_rows(report.drops)
        drops = f"{count(len(report.drops), 'drop')}, {refused_rows(report.drops)}"
        more = "".join(f", {rows:,} {what}" for what, rows in others)
        yield Fact(figure=f"{first[1]:,}", what=f"{first[0]}{more} in {drops}")
    if report.windows:
        yield Fact(figure=f"{sum(each.decisions for each in report.windows):,}", what="decisions monitored")
        yield Fact(figure=f"{len(report.alarms)}", what=f"alarm{'' if len(report.alarms) == 1 else 's'} raised")
    if report.usage:
        total = sum(line.usd or 0 for line in report.usage)
        share = (report.usage[0].usd or 0) / total if total else 0
        part = "nearly all" if share > 0.99 else f"{share:.0%}"
        figure = f"$ {total:,.0f}" if total >= 10 else f"$ {total:,.2f}"
        yield Fact(figure=figure, what=f"estimated cost on AWS; {part} of it the {report.usage[0].what}")


def accepted_rows(drops: Sequence[Drop]) -> list[tuple[str, int]]:
    """What the contract accepted, as (words, rows) for each feed with drops: `[("rows scored", 335)]`.

    Rows that left again for a later version of their object are not counted."""
    rows, there = Counter[str](), {drop.name: drop.feed for drop in drops}
    for drop in drops:
        # All rows of an earlier version have left, whether its run is still known or not.
        rows[drop.name] = drop.accepted + (0 if drop.replaced else rows[drop.name])
    return [
        (what, sum(rows[name] for name in there if there[name] == feed))
        for feed, what in ACCEPTED.items()
        if feed in there.values()
    ]


def refused_rows(drops: Sequence[Drop]) -> str:
    """`429 quarantined`, or `429 quarantined, two files refused whole`. Nobody has counted the rows of such files."""
    whole = sum(bool(drop.rejected) for drop in drops)
    also = f", {count(whole, 'file')} refused whole" if whole else ""
    return f"{sum(drop.quarantined for drop in drops):,} quarantined{also}"


def _live(report: WorkloadReport) -> Iterator[str]:
    """Sentences about the live version."""
    model = report.live
    if model is None:
        yield "No model version is live." if report.models else "No model has been trained yet."
        return
    is_live = f"has been live since {day(model.version.live_at)}" if model.version.live_at else "is live"
    yield f"Version {model.version.version} {is_live}{_quality(model)}."
    for gate in model.version.gates:
        if gate.is_warning:
            yield f"It passed the gate {gate.name} with a warning: {gate.sentence}."
    yield from _recent(model, report)


def _quality(model: JudgedModel) -> str:
    """How good the version was on its test rows, and how good the naive rule was on them."""
    evaluation = model.evaluation
    if evaluation is None:
        return ""
    error, naive = evaluation.error, evaluation.naive.metrics.get("error")
    quality = partial(error.quality, decimals=_decimals(evaluation.metrics.get("error"), naive))
    own = quality(evaluation.metrics.get("error"))
    # A part of the sentence: `where the naive rule is 62% right`, or `… has 89.7 µg/m³`.
    rule = "" if naive is None else f"is {quality(naive)}" if error.is_share else f"has {error.amount(naive)}"
    losses = losses_beside(evaluation)
    compared = "" if evaluation.champion else ", which the gate compares,"
    by_loss = f"; its log loss{compared} is {losses[0]:.4f} against {losses[1]:.4f}" if losses else ""
    where = rule and f", where the naive rule {rule}{by_loss}"
    when = span(evaluation.split.from_, evaluation.split.to)
    return f": {own} on {evaluation.rows.test:,} rows that it never saw, {when}{where}"


def _decimals(one: float | None, other: float | None) -> int:
    """Decimals for two shares in percent: 1 if they are so close that without it they would look alike, else 0."""
    return int(one is not None and other is not None and abs(one - other) <= CLOSE + 1e-9)


def _recent(model: JudgedModel, report: WorkloadReport) -> Iterator[str]:
    """How good the version's last decisions with labels were, if they were worse than on its test rows."""
    expected = model.evaluation.metrics.get("error") if model.evaluation else None
    own = [window for window in report.windows if window.version == model.version.version]
    known = [(window, window.mean_error) for window in own if window.mean_error is not None][-RECENT:]
    decisions = sum(window.decisions for window, _ in known)
    if model.evaluation is None or expected is None or not decisions:
        return
    # The mean over decisions, not over windows, which may differ in size.
    error = sum(each * window.decisions for window, each in known) / decisions
    if error > expected:
        quality = model.evaluation.error.quality(error, decimals=_decimals(error, expected))
        when = f"{day(known[0][0].start)} to {last_day(known[-1][0].end)}"
        yield f"Its last {decisions:,} decisions with labels were worse: {quality}, {when}."


def notes(report: WorkloadReport) -> Iterator[str]:
    """Limits of the figures that a reader must know."""
    if report.names.platform.stage == "local":
        yield (
            "Functions, jobs and the model's container ran for real, as processes of this machine. SageMaker's waiting "
            "for instances, spot interruptions and instance types were simulated."
        )
    if report.usage:
        yield (
            "Costs are list prices times what SageMaker and Lambda report, not a bill. Not counted: storage and its "
            "requests, state transitions, the key, alarms, logs, queues, events, tables, challengers, and what every "
            "account has free."
        )
