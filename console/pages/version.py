"""The pages of model versions: one on which a person decides, and any two beside each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from millrace.artefact.signing import SignedVersion
from millrace.console.pages.page import (
    MODEL_FILTERS,
    EvidenceTable,
    Row,
    error_name,
    evidence,
    model_parts,
    other_metrics,
    with_interval,
)
from millrace.console.pages.rungs import rungs
from millrace.console.pages.template import template
from millrace.console.presenters.gates import compared, mark
from millrace.console.queries.plan import edits_of
from millrace.console.queries.report import ComparedVersion, JudgedModel
from millrace.console.queries.runs import SHORT
from millrace.console.queries.stored import Unread
from millrace.console.queries.versions import ModelVersion, WaitingVersion
from millrace.console.stages import command
from millrace.console.words import age, days, figure, spelled
from millrace.evaluation.report import Evaluation
from millrace.names import WorkloadNames
from millrace.release.promotion import objection_to
from millrace.release.registry import APPROVED, PENDING, Package
from millrace.tasks import figures

WATCHED = ("shadow", "assisted", "canary")
"""The phases of a release that a person may end."""
LINKS = ("data", "contract", "config", "code", "model")
"""The digests that are compared with those of the live version."""


@dataclass(frozen=True, kw_only=True)
class Decided:
    """A version and what a person needs to decide about it."""

    names: WorkloadNames
    package: Package
    model: JudgedModel
    live: JudgedModel | None
    """None if no version is live, or if it is this one."""
    signature: SignedVersion | Unread
    waiting: WaitingVersion
    now: datetime
    who: str
    """The identity that looks at the page."""
    is_released: bool
    """Whether a release runs."""

    @property
    def objection(self) -> str:
        """Why `who` may not approve the version; empty if they may."""
        return objection_to(self.who, own_roles=self.names.sessions, asked_by=self.package.asked_by)

    @property
    def stands(self) -> str:
        """What became of the version so far, as the end of a sentence about it."""
        status, package = self.model.version.status, self.package
        if status == "registered" and package.approval == APPROVED:
            runs = ", a release runs" if self.is_released else ", and no release of it runs"
            return f"is approved by {package.changed_by.rpartition('/')[2]}{runs}"
        words = {
            "waits": "waits for a person",
            "refused": "was refused",
            **{one: f"is in its {one}" for one in WATCHED},
        }
        return words.get(status, f"is {status}")


def version_path(workload: str, version: str) -> str:
    """The path of the page in the console."""
    return f"/{workload}/versions/{version}"


def versions_path(workload: str, first: str = "") -> str:
    """The path of the page on which any two versions stand beside each other: of the first one, and the live one."""
    return f"/{workload}/versions{f'?first={first}' if first else ''}"


def waits(one: WaitingVersion, now: datetime) -> str:
    """Since when, until when, and asked by whom: `waits for 5 h, until 2026-11-30 10:00 UTC; asked for by …/bob`."""
    asked = f"asked for by {one.asked_by.rpartition(':')[2]}" if one.asked_by else "no person asked for it"
    return f"Waits for {age(now - one.since)}, until {one.until:%Y-%m-%d %H:%M} UTC; {asked}"


def version_page(found: Decided, *, asked: str, token: str, message: str = "") -> str:
    """The page as HTML. `asked` is the question that the model answers, `token` the secret of the form."""
    names, version = found.names, found.model.version
    return template("version.html.jinja", **MODEL_FILTERS).render(
        title=f"{names.workload}, version {found.package.version}",
        names=names,
        model=found.model,
        live=found.live.version if found.live else None,
        beside=versions_path(names.workload, found.package.version),
        stands=found.stands,
        waits=waits(found.waiting, found.now) if version.status == "waits" else "",
        is_watched=version.status in WATCHED,
        objection=found.objection,
        who=found.who,
        said="" if found.package.approval == PENDING else found.package.said,
        signature=found.signature,
        source=list(_source(found)),
        card=command(names, "card", found.package.version),
        asked=asked,
        token=token,
        message=message,
        **model_parts(names),
    )


def _source(found: Decided) -> Iterator[tuple[str, str, str]]:
    """What the version was made of, then the same of the live one."""
    own, live = (_made_of(one) if one else {} for one in (found.model, found.live))
    for what, cell in own.items():
        yield what, cell, live.get(what, "")


def _made_of(model: JudgedModel) -> dict[str, str]:
    version, report = model.version, model.evaluation
    quality = report.error.quality(report.metrics.get("error")) if report else "not known"
    beside = f"version {report.beside}" if report and report.beside else "no version"
    return {
        "asked for by": version.asked_by.rpartition(":")[2] or "no person",
        "trained": f"{version.trained_at:%Y-%m-%d %H:%M} UTC ({version.reason})" if version.trained_at else "elsewhere",
        "run": version.run[:SHORT],
        "rows": f"{version.rows or 0:,}, snapshot {version.snapshot_id}",
        "on its test rows": quality,
        "evaluated beside": beside,
        **{f"digest of its {name}": version.digests[name][:12] for name in LINKS if name in version.digests},
    }


def comparison_page(names: WorkloadNames, known: Sequence[ModelVersion], pair: Sequence[ComparedVersion]) -> str:
    """The page of two versions as HTML. `known` are all of the workload, of which a person may choose others."""
    first, second = pair
    return template("versions.html.jinja").render(
        title=f"{names.workload}, version {first.number} beside version {second.number}",
        names=names,
        known=[one.version for one in known],
        pair=[one.number for one in pair],
        paired=_paired(first, second),
        phases=[
            rung
            for one, other in ((first, second), (second, first))
            for rung in rungs([climb for climb in one.model.climbs if climb.champion == other.number])
        ],
        edits=_edits(first, second),
        tables=[table for table in _side_by_side(first, second) if table.rows],
    )


def _edits(first: ComparedVersion, second: ComparedVersion) -> Sequence[str] | Unread:
    """What was declared otherwise, from the first one to the second."""
    own, other = first.declared, second.declared
    if isinstance(own, Unread):
        return own
    return other if isinstance(other, Unread) else [edit.what for edit in edits_of(own, other)]


def _paired(first: ComparedVersion, second: ComparedVersion) -> EvidenceTable | None:
    """The figures that both have on the same rows; None if neither was evaluated beside the other."""
    for newer, older in ((second, first), (first, second)):
        report = newer.model.evaluation
        if report and older.number and report.beside == older.number:
            head = ("on the same rows", "rows", *(f"version {one.number}" for one in (older, newer)))
            return EvidenceTable(head=(*head, f"version {newer.number} is better by"), rows=tuple(_same_rows(report)))
    return None


def _same_rows(report: Evaluation) -> Iterator[Row]:
    def cells(measure: str, *values: float) -> tuple[str, ...]:
        return tuple(report.error.amount(one) if measure == "error" else figures.short(one) for one in values)

    champions = [each for each in report.contenders if each.who == "champion"]
    for one, measure, gain in [(each, *better) for each in champions for better in each.improvements.items()]:
        was = one.scores[measure].value
        better = with_interval(gain, report, signed=True) if measure == "error" else gain.words("+.4f")
        what, rows = f"{_named(measure, report)}, test rows", f"{one.rows:,}"
        yield what, rows, *cells(measure, was, was - gain.value), better
    if recent := report.champion:
        least = f" (at least {recent.lower_bound:+.4f})" if math.isfinite(recent.lower_bound) else ", no interval"
        values = cells(recent.measure, recent.error, recent.challenger_error)
        what = f"{_named(recent.measure, report)}, recent rows"
        yield what, f"{recent.rows:,}", *values, f"{recent.difference:+.4f}{least}"


def _named(measure: str, report: Evaluation) -> str:
    return error_name(report) if measure == "error" else figures.words(measure)


def _side_by_side(first: ComparedVersion, second: ComparedVersion) -> Iterator[EvidenceTable]:
    """Everything that is known of either, in tables with a column for each."""
    heads = [f"version {one.number}" for one in (first, second)]
    for what, of in (
        ("what it is", _described),
        ("on its own test rows", _measured),
        ("gate", _gates),
    ):
        own, other = of(first), of(second)
        names = [name for name in {**own, **other} if own.get(name) or other.get(name)]
        rows = tuple((name, own.get(name) or "–", other.get(name) or "–") for name in names)
        yield EvidenceTable(head=(what, *heads), rows=rows)
    reports = (each.model.evaluation for each in (first, second))
    before, after = ({one.head: one.rows for one in (evidence(each) if each else ())} for each in reports)
    for head in {**before, **after}:
        yield EvidenceTable(
            head=(head[0], *(f"{name}, {version}" for name in head[1:] for version in heads)),
            rows=tuple(_joined(before.get(head, ()), after.get(head, ()), len(head) - 1)),
        )


def _joined(own: Sequence[Row], other: Sequence[Row], columns: int) -> Iterator[Row]:
    """Rows of the same name as one, with the cells of both alternating."""
    first, second = ({row[0]: row[1:] for row in rows} for rows in (own, other))
    nothing = ("–",) * columns
    for name in {**first, **second}:
        pairs = zip(first.get(name, nothing), second.get(name, nothing), strict=True)
        yield name, *(cell for pair in pairs for cell in pair)


def _gates(one: ComparedVersion) -> Mapping[str, str]:
    return {spelled(gate.name): f"{mark(gate)} {compared(gate)}" for gate in one.model.version.gates}


def _measured(one: ComparedVersion) -> Mapping[str, str]:
    report = one.model.evaluation
    if report is None:
        return {}
    error = report.metrics.get("error")
    found = {
        "rows": f"{report.rows.test:,}, {days(report.split.from_, report.split.to)}",
        error_name(report): "unknown" if error is None else report.error.amount(error),
    }
    for name, value, interval in other_metrics(report):
        around = f" ({figure(interval.low)} to {figure(interval.high)})" if interval else ""
        found[name] = f"{figure(value)}{around}"
    call = report.latency_ms
    return {**found, "one call": f"{call.p50:.3g} ms, p99 {call.p99:.3g} ms", "archive": f"{report.size_mb:.3g} MB"}


def _described(one: ComparedVersion) -> Mapping[str, str]:
    version, windows = one.model.version, one.windows
    answers = sum(window.decisions for window in windows)
    served = [window.served for window in windows if window.served]
    by = {"a rule": sum(each.fallback for each in served), "people": sum(each.review for each in served)}
    apart = "".join(f", {number:,} by {who}" for who, number in by.items() if number)
    minutes, paid = sum(job.billed_s for job in one.jobs) / 60, sum(job.usd for job in one.jobs)
    return {
        "state": version.status,
        "last said": version.decision,
        "live since": f"{version.live_at:%Y-%m-%d %H:%M} UTC" if version.live_at else "never",
        **_made_of(one.model),
        "its training cost": f"{paid:.4f} USD, {minutes:.1f} billed minutes" if one.jobs else "not known",
        **{
            f"one row by HTTP, {each.instance}": f"{each.p50_ms:.2g} ms, p99 {each.p99_ms:.2g} ms"
            for each in one.call_times
        },
        "rows in the monitors' windows": f"{answers:,}{apart}" if windows else "none",
        "longest p99 of a call in them": max((f"{each.p99_ms:.1f} ms" for each in served if each.p99_ms), default=""),
    }
