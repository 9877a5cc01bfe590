"""The whole story, filled from what the cloud holds; what is not known is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from console.demo.answers import answer, committed_of, source_of
from console.demo.narrative.bill import costs
from console.demo.narrative.findings import Refused
from console.demo.narrative.judging import candidates, trainings
from console.demo.narrative.lineage import lineage
from console.demo.narrative.summary import Measured, facts, notes, summary
from console.demo.narrative.timeline import Lived, happenings
from console.demo.narrative.watching import alarms, reigns, windows
from console.demo.steps import Step
from console.pages.story import Drop, Mark, Reason, Span, Story, Tone
from console.queries.executions import Execution
from millrace.messages.ingest import Ingested
from millrace.messages.score import Delivered
from millrace.names import WorkloadNames


def tell(lived: Lived, names: WorkloadNames, *, question: str, measured: Measured) -> Story:
    """The story of everything that was lived through."""
    findings, bill = lived.findings, costs(lived.findings.usage)
    story = Story(
        workload=names.workload,
        question=question,
        summary=summary(lived),
        made_at=datetime.now(UTC),
        stage=names.platform.stage,
        facts=facts(lived, bill, measured),
        windows=windows(lived.of("monitor"), findings.reports, findings.error_bounds),
        reigns=reigns(lived.answers),
        alarms=alarms(lived.of("retrain")),
        happenings=happenings(lived),
        drops=tuple(_drop(run, findings.refused.get(run.name, ())) for run in _intake(lived)),
        trainings=trainings(lived.of("train"), findings.models),
        candidates=candidates(lived.of("train"), findings.evaluations),
        lineage=lineage(list(lived.executions.values()), findings),
        spans=spans(lived.steps),
        marks=marks(lived.steps),
        costs=bill,
    )
    return replace(story, notes=notes(lived, story))


def question_of(workload: Path) -> str:
    """The question that `workload.yaml` puts in its first comment; the workload's name when it has none."""
    first = workload.read_text().partition("\n")[0]
    return first.removeprefix("# ").strip() if first.startswith("# ") else workload.parent.name


def _intake(lived: Lived) -> list[Execution]:
    """What came in, as it came; files of a feed that were read side by side, in the order of their names."""
    runs = [run for run in (*lived.of("ingest"), *lived.of("score")) if source_of(run)]
    beside: list[list[Execution]] = []
    for run in sorted(runs, key=lambda run: run.started):
        last = beside[-1] if beside else []
        if last and _feed(last[0]) == _feed(run) and run.started <= max(each.stopped for each in last):
            last.append(run)
        else:
            beside.append([run])
    return [run for group in beside for run in sorted(group, key=source_of)]


def _feed(run: Execution) -> str:
    return source_of(run).partition("/")[0]


def _drop(run: Execution, refused: Sequence[Refused]) -> Drop:
    """Rows of a drop that was rejected whole are not counted: nobody could read them."""
    committed, delivered = committed_of(run), answer(run, "delivery", Delivered)
    ingested = answer(run, "ingestion", Ingested)
    rejected = ingested.reason if ingested else ""
    reasons = tuple(Reason(code=one.reason, rows=one.rows, example=one.example) for one in refused)
    return Drop(
        name=source_of(run),
        feed=_feed(run),
        accepted=committed.rows_accepted if committed else delivered.rows if delivered else 0,
        quarantined=sum(one.rows for one in refused),
        reasons=reasons or ((Reason(code=rejected, rows=1),) if rejected else ()),
        snapshot=committed.snapshot_id if committed else "",
    )


def spans(steps: Sequence[Step]) -> tuple[Span, ...]:
    """What ran, on the clock on the wall; moves of the clock take no room."""
    return tuple(
        Span(lane=_lane(step), name=step.name, start_s=step.at_s, seconds=step.seconds, tone=_tone(step))
        for step in steps
        if step.kind != "clock"
    )


def marks(steps: Sequence[Step]) -> tuple[Mark, ...]:
    """Where on the wall each new month of the inputs began."""
    moves = [(datetime.fromisoformat(step.id), step.at_s) for step in steps if step.kind == "clock"]
    return tuple(Mark(name=f"{to:%b}", at_s=at_s) for to, at_s in moves if to.day == 1 and to.hour < 7)


def _lane(step: Step) -> str:
    return {"put": "people", "predictions": "decisions"}.get(step.kind, step.kind)


def _tone(step: Step) -> Tone:
    if step.status in ("FAILED", "TIMED_OUT", "ABORTED", "ALARM") or step.is_refused:
        return "bad"
    return "good" if step.kind == "release" else "plain"
