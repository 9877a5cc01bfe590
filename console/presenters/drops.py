"""What the runs of a drop have in common, ingested or scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from console.presenters.presenter import Document, Outcome
from console.queries.answers import DropAnswer, objects_of
from console.words import count, listed, spelled_number
from millrace.contract.reasons import Reason
from millrace.messages.ingest import RejectedDrop

if TYPE_CHECKING:
    from console.queries.quarantine import ReasonCount
    from millrace.contract.reasons import RowsByReason

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
"""By the reason for which most rows of a drop were refused, or all of it."""
SHOWN = 3
"""Names of refused drops in an outcome; more would fill the screen."""


def dropped_object(_: Document, detail: Document) -> str:
    """The drop's key below the workload, `training/1996-05.parquet`; `training/1996-05.parquet and 2 more`."""
    objects = objects_of(detail) or [{}]
    first = str(objects[0].get("key", "")).partition("/")[2]
    return f"{first} and {len(objects) - 1} more" if len(objects) > 1 else first


def rejected(drop: DropAnswer, refused: RejectedDrop) -> Outcome:
    """Of a drop that could not become rows at all."""
    text = f"nothing accepted, the whole file quarantined ({refused.reason})"
    said = f"expected {refused.expected}, got {refused.got}" if refused.expected else ""
    detail = "; ".join(filter(None, (said, ADVICE.get(refused.reason))))
    return Outcome(text=text, detail=detail, is_refused=True, look=look(drop, 1))


def of_several(result: str, outcomes: Sequence[tuple[str, Outcome]]) -> Outcome:
    """Of an execution with the result of all its drops in words, and each one's name and outcome: two may be versions
    of one key. Refused where one of them is: it says which, and what the first was refused for."""
    refused = [(name, one) for name, one in outcomes if one.is_refused]
    warned = [(name, one.warning) for name, one in outcomes if one.warning]
    whom = f"{spelled_number(len(refused))} refused: {_first([name for name, _ in refused])}" if refused else ""
    return Outcome(
        text=f"{count(len(outcomes), 'drop')}: {'; '.join(filter(None, (result, whom)))}",
        detail=f"{refused[0][0]}: {refused[0][1].text}" if refused else "",
        is_refused=bool(refused),
        warning=f"{count(len(warned), 'drop')}: {': '.join(warned[0])}" if warned else "",
        look=("quarantine",) if any(one.look for _, one in outcomes) else (),
    )


def _first(names: Sequence[str]) -> str:
    """`a.csv, b.csv, c.csv and 21 more`."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def quarantined_counts(rows: int, reasons: RowsByReason) -> str:
    """`, 11,000 quarantined (type 10,990, range 10)`; empty for none."""
    why = ", ".join(f"{reason} {refused:,}" for reason, refused in reasons.items())
    return f", {rows:,} quarantined{f' ({why})' if why else ''}" if rows else ""


def most_refused(accepted: int, quarantined: int, reasons: Sequence[ReasonCount]) -> str:
    """Of a drop of which more than half is refused, but not all: `54% of the rows refused, most by type: discount:
    expected a number, got 'unknown'`; empty for others."""
    if not 0 < accepted < quarantined:
        return ""
    why = f", most by {reasons[0].reason}: {_explained(reasons[0])}" if reasons else ""
    return f"{100 * quarantined // (accepted + quarantined)}% of the rows refused{why}"


def example(accepted: int, reasons: Sequence[ReasonCount]) -> str:
    """Of a drop without a good row the most frequent thing that is wrong; empty where it is not known."""
    return _explained(reasons[0]) if reasons and not accepted else ""


def _explained(found: ReasonCount) -> str:
    """The example, and what helps where something does that the example does not say."""
    return "; ".join(filter(None, (found.example, ADVICE.get(found.reason))))


def look(drop: DropAnswer, quarantined: int) -> tuple[str, ...]:
    """The words of the command that shows the quarantined rows; none without any."""
    return ("quarantine", "--drop", drop.name) if quarantined else ()


def quarantined_rows(refused: Sequence[ReasonCount]) -> str:
    """`48 quarantined (duplicate key): timestamp: expected …`."""
    rows = sum(each.rows for each in refused)
    return f"{rows:,} quarantined ({listed([each.reason for each in refused])}): {refused[0].example}"
