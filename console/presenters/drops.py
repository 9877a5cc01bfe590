"""How people read runs of `ingest` and of `score`: their drops, the rows, and what was wrong with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from millrace.console.presenters.presenter import Document, Outcome, Presenter, TimelineEntry, until
from millrace.console.queries.drops import ReasonCount
from millrace.console.queries.executions import DropAnswer, Execution, drops_of, objects_of
from millrace.console.queries.report import WorkloadReport
from millrace.console.words import count, first_few, spelled_number
from millrace.contract.reasons import Reason, RowsByReason
from millrace.datasets.quarantine import together
from millrace.messages.ingest import Committed, RejectedDrop

ADVICE: Mapping[str, str] = {
    Reason.DUPLICATE_KEY: (
        "a key is one row's for ever, an image's is the name of its file: other rows need other keys, and a file of "
        "the same name as before takes the place of that one's rows"
    ),
    Reason.HISTORY: (
        "a row needs the rows of the hours before it: in its own file or, where that is dropped with --feed scoring, "
        "among the training rows"
    ),
    Reason.IMAGE: "`scale: true` beside `encoding: png` in contract.yaml lets the console scale images of other sizes",
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
    whom = (
        f"{spelled_number(len(refused))} refused: {first_few([name for name, _ in refused], SHOWN)}" if refused else ""
    )
    return Outcome(
        text=f"{count(len(outcomes), 'drop')}: {'; '.join(filter(None, (result, whom)))}",
        detail=f"{refused[0][0]}: {refused[0][1].text}" if refused else "",
        is_refused=bool(refused),
        warning=f"{count(len(warned), 'drop')}: {': '.join(warned[0])}" if warned else "",
        # Several drops have no command in common that shows only their rows.
        look=("quarantine",) if any(one.look for _, one in outcomes) else (),
    )


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


def _outcome(run: Execution, reasons: Sequence[ReasonCount] = ()) -> Outcome:
    drops = drops_of(run)
    if len(drops) == 1:
        return _outcome_of(drops[0], reasons)
    return of_several(_result(drops), [(drop.name, _outcome_of(drop, waits=False)) for drop in drops])


def _result(drops: Sequence[DropAnswer]) -> str:
    """What several drops gave together: their rows, and what the first training waits for after the last drop."""
    committed = [drop.committed for drop in drops if drop.committed]
    if not committed:
        return ""
    accepted = sum(one.rows_accepted for one in committed)
    quarantined = sum(one.rows_quarantined for one in committed)
    # The largest total stands for the table after all drops.
    last = max(committed, key=lambda one: one.rows_total)
    reasons = together(*(one.reasons for one in committed))
    replaced = _instead_of(sum(one.rows_replaced for one in committed))
    return f"{accepted:,} accepted{replaced}{quarantined_counts(quarantined, reasons)}{_until_training(last)}"


def _outcome_of(drop: DropAnswer, reasons: Sequence[ReasonCount] = (), *, waits: bool = True) -> Outcome:
    """The outcome of one drop. With `waits` it says what the first training still waits for; else that is said for all
    drops together."""
    committed = drop.committed
    if drop.rejected:
        return rejected(drop, drop.rejected)
    if committed is None:
        return Outcome()
    until_training = _until_training(committed) if waits else ""
    if committed.held:
        said = "refused by" if committed.held == "refused" else "held for a person:"
        return Outcome(text=f"{said} {committed.held_for}", is_refused=True, look=("held",))
    # No row was added in the next two cases: a later version came first, or the bytes are known already.
    if committed.superseded_by:
        return Outcome(text="no row added: a later version of the same object came before")
    if committed.duplicate:
        text = f"no row added{_instead_of(committed.rows_replaced)}: the bytes of {committed.repeats} again"
        # The refused rows may be accepted now; the others are in the table already.
        name, file = committed.repeats, PurePosixPath(committed.repeats)
        look = ("quarantine", "--drop", name, "--rows", f"{file.stem}-refused{file.suffix}")
        return Outcome(text=f"{text}{until_training}", look=look if committed.refused_before else ())
    accepted, quarantined = committed.rows_accepted, committed.rows_quarantined
    replaced = _instead_of(committed.rows_replaced)
    text = f"{accepted:,} accepted{replaced}{quarantined_counts(quarantined, committed.reasons)}{until_training}"
    if committed.unanswered:
        text += f"; about {committed.unanswered:,} are of no known decision, and no retraining counts them"
    return _counted(drop, text, accepted, quarantined, reasons)


def _counted(drop: DropAnswer, text: str, rows: int, quarantined: int, reasons: Sequence[ReasonCount]) -> Outcome:
    """The outcome of a drop of which so many rows were taken."""
    return Outcome(
        text=text,
        detail=example(rows, reasons),
        is_refused=not rows,
        warning=most_refused(rows, quarantined, reasons),
        look=look(drop, quarantined),
    )


def _instead_of(rows: int) -> str:
    """` in the place of 12,014 rows of an earlier version`; empty if no row left."""
    return f" in the place of {count(rows, 'row')} of an earlier version" if rows else ""


def _until_training(committed: Committed) -> str:
    """What the first training still waits for; empty if it does not wait."""
    if not (missing := committed.rows_missing):
        return ""
    verb = "is" if missing == 1 else "are"
    return (
        f"; no training yet: {count(missing, 'row')} {verb} missing of the {committed.first_rows:,} that start the "
        "first one (first_rows in workload.yaml; `millrace train` starts one now)"
    )


def _is_told(run: Execution) -> bool:
    """Whether a row of it was refused, or none was added."""
    return any(drop.quarantined or not (drop.committed and drop.committed.rows_accepted) for drop in drops_of(run))


def _quiet(runs: Sequence[Execution], _: WorkloadReport) -> TimelineEntry:
    """One entry for several runs whose rows were all accepted."""
    drops = [drop for run in runs for drop in drops_of(run)]
    rows = sum(drop.committed.rows_accepted for drop in drops if drop.committed)
    names = sorted(drop.name for drop in drops)
    last = f" to {names[-1]}" if len(names) > 1 else ""
    return TimelineEntry(
        at=runs[0].started,
        what=f"{count(len(drops), 'file')} ingested".capitalize(),
        detail=f"{until(runs)}{names[0]}{last}: {rows:,} rows accepted, none quarantined",
        seconds=sum(run.seconds for run in runs),
    )


INGEST = Presenter(subject=dropped_object, outcome=_outcome, is_told=_is_told, quiet=_quiet)


NEWEST = "the newest drop"
"""What a run by hand works on if its input names no drop."""


def _outcome_of_score(run: Execution, reasons: Sequence[ReasonCount]) -> Outcome:
    drops = drops_of(run)
    if len(drops) == 1:
        return _outcome_of_scored(drops[0], reasons)
    return of_several(_delivered(drops), [(drop.name, _outcome_of_scored(drop, ())) for drop in drops])


def _delivered(drops: Sequence[DropAnswer]) -> str:
    """What several drops gave together: their predictions."""
    delivered = [drop.delivered for drop in drops if drop.delivered]
    if not delivered:
        return ""
    rows, quarantined = sum(one.rows for one in delivered), sum(one.quarantined for one in delivered)
    reasons = together(*(one.reasons for one in delivered))
    others = sum((Counter(one.unlisted) for one in delivered), Counter[str]())
    return f"{_predictions(rows)}{quarantined_counts(quarantined, reasons)}{_unlisted(others)}"


def _predictions(rows: int) -> str:
    return f"{rows:,} {'prediction' if rows == 1 else 'predictions'} delivered" if rows else "no prediction delivered"


def _unlisted(cells: Mapping[str, int]) -> str:
    return f", taken as unknown: {unlisted_counts(cells)}" if cells else ""


def _outcome_of_scored(drop: DropAnswer, reasons: Sequence[ReasonCount]) -> Outcome:
    if drop.rejected:
        return rejected(drop, drop.rejected)
    if drop.delivered is None:
        return Outcome()
    rows, quarantined = drop.delivered.rows, drop.delivered.quarantined
    counts = f"{quarantined_counts(quarantined, drop.delivered.reasons)}{_unlisted(drop.delivered.unlisted)}"
    if unopened := drop.delivered.unopened:
        counts += f", {unopened:,} for a person that are not in the queue"
    found = _counted(drop, f"{_predictions(rows)}{counts}", rows, quarantined, reasons)
    # Without a row the file is there, and holds none.
    return replace(found, uri=drop.delivered.uri) if rows else found


SCORE = Presenter(subject=lambda *of: dropped_object(*of) or NEWEST, outcome=_outcome_of_score)
