"""What runs of `ingest` and of `score` have in common: the words for their drops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from millrace.console.presenters.presenter import Document, Outcome
from millrace.console.queries.drops import ReasonCount
from millrace.console.queries.executions import DropAnswer, objects_of
from millrace.console.words import count, listed, spelled_number
from millrace.contract.reasons import Reason, RowsByReason
from millrace.messages.ingest import RejectedDrop

ADVICE: Mapping[str, str] = {
    Reason.DUPLICATE_KEY: (
        "a key is one row's for ever, an image's is the name of its file: other rows need other keys, and a file of "
        "the same name as before takes the place of that one's rows"
    ),
    Reason.HISTORY: (
        "a row needs the rows of the hours before it: in its own file or, where that is dropped with --feed scoring, "
        "among the training rows"
    ),
    Reason.IMAGE: "`--scale` brings a PNG, or a folder of them, to the size of the contract",
}
"""Advice by the reason for which most rows of a drop, or all of it, were refused."""
SHOWN = 3
"""How many refused drops an outcome names; more would fill the screen."""


def dropped_object(_: Document, detail: Document) -> str:
    """The drop's key below the workload: `training/1996-05.parquet`, or `training/1996-05.parquet and 2 more`."""
    objects = objects_of(detail) or [{}]
    first = str(objects[0].get("key", "")).partition("/")[2]
    return f"{first} and {len(objects) - 1} more" if len(objects) > 1 else first


def rejected(drop: DropAnswer, refused: RejectedDrop) -> Outcome:
    """The outcome of a drop that could not become rows at all."""
    text = f"nothing accepted, the whole file quarantined ({refused.reason})"
    said = f"expected {refused.expected}, got {refused.got}" if refused.expected else ""
    detail = "; ".join(filter(None, (said, ADVICE.get(refused.reason))))
    return Outcome(text=text, detail=detail, is_refused=True, look=look(drop, 1))


def of_several(result: str, outcomes: Sequence[tuple[str, Outcome]]) -> Outcome:
    """The outcome of an execution with several drops. `result` is what all of them together gave, in words.

    `outcomes` are (name, outcome) pairs: two drops may be versions of one key. The execution counts as refused if one
    of its drops is. It names the refused drops and says what the first was refused for."""
    refused = [(name, one) for name, one in outcomes if one.is_refused]
    warned = [(name, one.warning) for name, one in outcomes if one.warning]
    whom = f"{spelled_number(len(refused))} refused: {_first([name for name, _ in refused])}" if refused else ""
    return Outcome(
        text=f"{count(len(outcomes), 'drop')}: {'; '.join(filter(None, (result, whom)))}",
        detail=f"{refused[0][0]}: {refused[0][1].text}" if refused else "",
        is_refused=bool(refused),
        warning=f"{count(len(warned), 'drop')}: {': '.join(warned[0])}" if warned else "",
        # Several drops have no command in common that shows only their rows.
        look=("quarantine",) if any(one.look for _, one in outcomes) else (),
    )


def _first(names: Sequence[str]) -> str:
    """The first names: `a.csv, b.csv, c.csv and 21 more`."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def quarantined_counts(rows: int, reasons: RowsByReason) -> str:
    """`, 11,000 quarantined (type 10,990, range 10)`; empty if no row was."""
    why = ", ".join(f"{reason} {refused:,}" for reason, refused in reasons.items())
    return f", {rows:,} quarantined{f' ({why})' if why else ''}" if rows else ""


def unlisted_counts(cells: Mapping[str, int]) -> str:
    """`kind 12, district 3`: by column, the cells with a value outside of the contract's list."""
    return ", ".join(f"{name} {rows:,}" for name, rows in cells.items())


def most_refused(accepted: int, quarantined: int, reasons: Sequence[ReasonCount]) -> str:
    """A warning if more than half of a drop's rows are refused, but not all; else empty.

    For example `54% of the rows refused, most by type: discount: expected a number, got 'unknown'`."""
    if not 0 < accepted < quarantined:
        return ""
    why = f", most by {reasons[0].reason}: {_explained(reasons[0])}" if reasons else ""
    return f"{100 * quarantined // (accepted + quarantined)}% of the rows refused{why}"


def example(accepted: int, reasons: Sequence[ReasonCount]) -> str:
    """For a drop without a good row, the most frequent mistake; empty if it is not known."""
    return _explained(reasons[0]) if reasons and not accepted else ""


def _explained(found: ReasonCount) -> str:
    """The example of a reason, with advice if there is any that the example does not give."""
    return "; ".join(filter(None, (found.example, ADVICE.get(found.reason))))


def look(drop: DropAnswer, quarantined: int) -> tuple[str, ...]:
    """The words of the command that shows the quarantined rows; empty if there are none."""
    return ("quarantine", "--drop", drop.name) if quarantined else ()


def quarantined_rows(refused: Sequence[ReasonCount]) -> str:
    """`48 quarantined (duplicate key): timestamp: expected …`."""
    rows = sum(each.rows for each in refused)
    return f"{rows:,} quarantined ({listed([each.reason for each in refused])}): {refused[0].example}"
