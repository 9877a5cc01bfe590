"""What the runs of a drop have in common, ingested or scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from console.presenters.presenter import Document, Outcome
from console.queries.answers import source_of
from console.words import listed
from millrace.messages.ingest import Ingested

if TYPE_CHECKING:
    from console.queries.executions import Execution
    from console.queries.quarantine import ReasonCount


def dropped_object(_: Document, detail: Document) -> str:
    """The drop's key below the workload: `training/1996-05.parquet`."""
    objects = detail.get("objects") or [{}]
    return str(objects[0].get("key", "")).partition("/")[2]


def rejected(execution: Execution, ingested: Ingested) -> Outcome:
    """Of a drop that could not become rows at all."""
    text = f"nothing accepted, the whole file quarantined ({ingested.reason})"
    detail = f"expected {ingested.expected}, got {ingested.got}" if ingested.expected else ""
    return Outcome(text=text, detail=detail, is_refused=True, look=look(execution, 1))


def quarantined_counts(rows: int, reasons: Sequence[ReasonCount]) -> str:
    """`, 11,000 quarantined (type 10,990, range 10)`; empty for none."""
    why = ", ".join(f"{one.reason} {one.rows:,}" for one in reasons)
    return f", {rows:,} quarantined{f' ({why})' if why else ''}" if rows else ""


def most_refused(accepted: int, quarantined: int, reasons: Sequence[ReasonCount]) -> str:
    """Of a drop of which more than half is refused, but not all: `54% of the rows refused, most by type: discount:
    expected a float64, got 'unknown'`; empty for others."""
    if not 0 < accepted < quarantined:
        return ""
    why = f", most by {reasons[0].reason}: {reasons[0].example}" if reasons else ""
    return f"{100 * quarantined // (accepted + quarantined)}% of the rows refused{why}"


def example(accepted: int, reasons: Sequence[ReasonCount]) -> str:
    """Of a drop without a good row the most frequent thing that is wrong; empty where it is not known."""
    return reasons[0].example if reasons and not accepted else ""


def look(execution: Execution, quarantined: int) -> tuple[str, ...]:
    """The words of the command that shows the quarantined rows; none without any."""
    return ("quarantine", "--drop", source_of(execution)) if quarantined else ()


def quarantined_rows(refused: Sequence[ReasonCount]) -> str:
    """`48 quarantined (duplicate key): timestamp: expected …`."""
    rows = sum(each.rows for each in refused)
    return f"{rows:,} quarantined ({listed([each.reason for each in refused])}): {refused[0].example}"
