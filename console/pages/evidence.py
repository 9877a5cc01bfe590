"""What a model was judged by besides its error, as small tables: rivals, slices, groups, damages, leaks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from millrace.console.words import spelled
from millrace.evaluation.evidence import Estimate
from millrace.evaluation.gates.cases import CasesEvidence
from millrace.evaluation.gates.fairness import FairnessEvidence
from millrace.evaluation.gates.leakage import LeakageEvidence
from millrace.evaluation.gates.robustness import RobustnessEvidence
from millrace.evaluation.gates.slices import SlicesEvidence
from millrace.evaluation.report import Evaluation
from millrace.tasks import figures

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
    names = [_error_name(evaluation) if name == "error" else figures.words(name) for name in own]
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
        yield f"{'✓' if one.is_right else '✗'} {one.name}: {one.reason}", one.expected, one.came


def _costs(evaluation: Evaluation) -> Iterator[Row]:
    """What the answers cost by the policy, and what they would cost without it."""
    if costs := evaluation.costs:
        yield f"cost of 1,000 rows, {costs.currency}", "expected", "measured on the test rows"
        by_policy = f"{costs.coverage.value:.1%} automated, by the policy"
        for name, one in ((by_policy, costs.by_policy), ("all automated", costs.all_automated)):
            yield name, figures.short(one.expected), one.measured.words(",.0f")
        yield "all reviewed", *[figures.short(costs.all_reviewed)] * 2


def _rivals(evaluation: Evaluation) -> Iterator[Row]:
    yield "answers of", "rows", _error_name(evaluation), "this model is better by"
    for one in evaluation.contenders:
        gain = one.improvements.get("error")
        better = "" if gain is None else _interval(gain, evaluation, signed=True)
        yield one.name, f"{one.rows:,}", _interval(one.scores["error"], evaluation), better


def _seeds(evaluation: Evaluation) -> Iterator[Row]:
    yield "the same training with", _error_name(evaluation)
    for place, error in enumerate(evaluation.seed_errors):
        yield f"another seed, {place}" if place else "its own seed", evaluation.error.amount(error)


def _mistakes(evaluation: Evaluation) -> Iterator[Row]:
    yield "the most frequent mistakes", "rows", "of those of the class"
    for one in evaluation.mistakes:
        yield f"{one.truth}, answered as {one.answered}", f"{one.rows:,}", f"{one.rows / one.of:.1%}"


def _slices(evaluation: Evaluation) -> Iterator[Row]:
    yield "slice, the worst first", "rows", _error_name(evaluation)
    found = measured.slices if (measured := evaluation.of(SlicesEvidence)) else ()
    judged = [(one.error, one) for one in found if one.error]
    for error, one in sorted(judged, key=lambda each: -_finite(each[0].value))[:MOST_SLICES]:
        yield f"{one.column} = {one.value}", f"{one.rows:,}", _interval(error, evaluation)


def _groups(evaluation: Evaluation) -> Iterator[Row]:
    yield "group", "rows", _error_name(evaluation), "selected", "found of the positive", "alarmed of the others"
    for one in measured.groups if (measured := evaluation.of(FairnessEvidence)) else ():
        rates = (one.selection_rate, one.true_positive_rate, one.false_positive_rate)
        shares = ("" if rate is None else f"{rate:.1%}" for rate in rates)
        yield f"{one.column} = {one.value}", f"{one.rows:,}", evaluation.error.amount(one.error), *shares


def _disparities(evaluation: Evaluation) -> Iterator[Row]:
    yield "between groups", "figure", "lowest", "highest"
    for one in measured.disparities if (measured := evaluation.of(FairnessEvidence)) else ():
        yield f"{one.column}: {spelled(one.measure)}", one.figure.words(".3f"), one.lowest, one.highest


def _damages(evaluation: Evaluation) -> Iterator[Row]:
    yield "damaged by", _error_name(evaluation), "rise"
    for one in measured.damaged if (measured := evaluation.of(RobustnessEvidence)) else ():
        yield one.damage, _interval(one.error, evaluation), _interval(one.rise, evaluation, signed=True)


def _leaks(evaluation: Evaluation) -> Iterator[Row]:
    yield "column", "of a constant's error it removes alone"
    for one in measured.features[:MOST_COLUMNS] if (measured := evaluation.of(LeakageEvidence)) else ():
        yield one.column, f"{one.explained:.1%}"


def _interval(figure: Estimate, evaluation: Evaluation, *, signed: bool = False) -> str:
    """A figure with its interval: "13.2% (12.1 to 14.4)" for a share, "53.1 (50.2 to 56)" for an amount."""
    sign: Literal["", "+"] = "+" if signed else ""
    is_share, unit = evaluation.error.is_share, "%" if evaluation.error.is_share else ""
    value, low, high = (
        f"{100 * end:{sign}.1f}" if is_share else figures.short(end, sign)
        for end in (figure.value, figure.low, figure.high)
    )
    return f"{value}{unit} ({low} to {high})" if math.isfinite(figure.low) else f"{value}{unit}, no interval"


def _error_name(evaluation: Evaluation) -> str:
    """What the error is, with its unit if it has one: "mean absolute error, MW"."""
    unit = evaluation.error.unit
    return f"{evaluation.error.name}, {unit}" if unit else evaluation.error.name


def _finite(value: float) -> float:
    """The value, with infinity for NaN: such a slice is sorted as the worst."""
    return value if math.isfinite(value) else math.inf
