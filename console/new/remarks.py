"""Says what is conspicuous in a proposal: tables of remarks, each of which has no sentence, one, or several of it.

Nothing in the rows is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from shlex import quote

import numpy as np

from millrace.console.new.columns import Profile
from millrace.console.new.contract import column_of
from millrace.console.new.declare import ASKED
from millrace.console.new.duplicates import equal_images, equal_rows
from millrace.console.new.features import binned, naive_error, rule_error
from millrace.console.new.kinds import Classes
from millrace.console.new.numbers import all_far_values, far_values, few_below_zero, odd_zeros
from millrace.console.new.proposal import Proposal
from millrace.console.new.rehearsal import declared
from millrace.console.new.spans import RARE
from millrace.console.new.times import far_times
from millrace.console.new.words import SHOWN, counted, first_of, once, share_of
from millrace.contract.rules.range import Range
from millrace.contract.schema import LINE
from millrace.contract.violation import QuarantinedRow
from millrace.evaluation.evidence import FEWEST_BLOCKS
from millrace.tasks.figures import short
from millrace.workload.prices import projected_usd
from millrace.workload.training_cost import usages

FEW_OF_A_CLASS = 50
"""A class of fewer rows is reported."""
MOST_SPELLED = 200
"""Most different values of a column in which spellings are compared."""
SHOWN_REFUSED = 3
SHOWN_LEFT_OUT = 100
"""Most left-out images that are named. They are in no drop, so nothing names them later."""
MOST_OF_A_CELL = 72
"""Most characters of a reason in the table of columns. A longer reason is a line below the table."""
TOO_GOOD = 0.2
"""A model is too good to be true if its figure is at most this share of the naive rule's."""

NEARLY = 0.35
"""A column alone is nearly the answer if its rule keeps at most this share of the naive error."""

NEARLY_AMOUNT = 0.15
"""The same share if the label is a number: a list price or a duration may tell most of an amount, and be known."""

AS_GOOD = 1.2
"""A column tells by its presence alone if that keeps at most so many times the error of its values."""
SECONDS = 10
"""For which a person looks at a row, about."""


def remarks(it: Proposal) -> Iterator[str]:
    """All that is said of a proposal, in this order: rows and columns, the notes, the parts, the gates."""
    return chain.from_iterable(remark(it) for remark in (of_rows, of_columns, notes_of, of_parts, of_watching))


def is_long(reason: str) -> bool:
    """Whether the reason is a line of its own below the table of columns."""
    return len(reason) > MOST_OF_A_CELL


def notes_of(it: Proposal) -> tuple[str, ...]:
    """How the contract reads the file, and what is conspicuous in it."""
    return tuple(chain.from_iterable(remark(it) for remark in NOTES))


def of_rows(it: Proposal) -> Iterator[str]:
    """How many rows keep the contract, and examples of those that do not."""
    rows, refused = it.accepted.num_rows, it.refused
    has_images = bool(it.prediction.image_side)  # they are put into files of the accepted rows
    become = "left out of the drop" if has_images else "would be quarantined"
    shown = SHOWN_LEFT_OUT if has_images else SHOWN_REFUSED
    yield f"{rows:,} rows keep the contract, {len(refused):,} {become}"
    for row in _samples(refused, shown):
        yield f"  {row.key if has_images and row.key else it.place(row.line or 0)}: {row.detail}"
    if len(refused) > shown:
        yield f"  and {len(refused) - shown:,} more"


def _samples(refused: Sequence[QuarantinedRow], most: int) -> list[QuarantinedRow]:
    """At most so many of the rows, by their lines: of each reason and column the first one, then the first others."""
    first_of_kind: dict[object, int] = {}
    for at, row in enumerate(refused):
        first_of_kind.setdefault((row.reason, row.violations[0].column), at)
    places = list(dict.fromkeys([*first_of_kind.values(), *range(min(most, len(refused)))]))
    return [refused[at] for at in sorted(places[:most])]


def of_columns(it: Proposal) -> Iterator[str]:
    """Columns that are not in the contract or no features, and what is asked of later files."""
    for one in it.reading.left_out:
        yield f"{one.name} is not in the contract: {one.reason}"
    for names, reason in once([(one.name, one.reason) for one in it.features.others if is_long(one.reason)]):
        yield f"{names} {'are' if ', ' in names else 'is'} no feature: {reason}"
    words = [one for one in it.contract.columns if one.allowed and one.kind == "string" and not one.label]
    if listed := [f"{one.name} has a list of {len(one.allowed or ())} values" for one in words]:
        other = "another one is answered, as of an unknown value, and counted; a row to train with it is quarantined"
        yield f"{', '.join(listed)}: a row to score with {other}"


def of_parts(it: Proposal) -> Iterator[str]:
    """How the rows are divided, the rule to beat, and a model that does not beat it."""
    trained, validated, tested = it.rehearsal.rows
    of = f"of the first {it.learnt} labels about " if it.reading.choices.classes else ""
    yield f"{of}{trained:,} rows train, {validated:,} validate, {tested:,} test ({_division(it)})"
    yield f"the model must be better than {it.naive.rule}, which {it.naive.said}"
    yield from filter(None, [hardly_right(it) or behind_rule(it)])


def _division(it: Proposal) -> str:
    """How the test rows are chosen, as workload.yaml declares it."""
    prediction = it.prediction
    if prediction.split_column:
        return f"as the column {prediction.split_column} says"
    if group := prediction.group:
        of = "the beginning of " if prediction.pieces else ""
        return f"by {of}{' and '.join(group)}: all rows of one on one side"
    if prediction.is_in_time:
        return f"the last {it.spans.test_days} days"
    return "the last rows of the file" if prediction.is_in_order else "by the hash of the key"


def hardly_right(it: Proposal) -> str:
    """A warning with the next step, if the proposed model is no more often right than the class of most rows."""
    kind, model, found = it.prediction.task, it.trial.model, it.rehearsal
    wrong = model.wrong if model else None
    if kind not in ("binary", "multiclass") or wrong is None:
        return ""
    counts = np.unique(found.target_N[found.examples.parts.validation], return_counts=True)[1]
    usual = float(counts.max() / counts.sum())
    if 1 - wrong > usual:
        return ""
    more = "columns that tell more of it, or more rows"
    lower = "a lower `threshold` under `prediction` of workload.yaml, which finds more of the rarer class, or "
    return (
        f"warning: on the rows that validate the model is right on {1 - wrong:.1%}, no more often than who always "
        f"answers the class of most rows ({usual:.1%}). Next: {lower if kind == 'binary' else ''}{more}"
    )


def behind_rule(it: Proposal) -> str:
    """A warning with the next step, if the rule to beat is nearer than the model on the rows that validate."""
    rule, model = it.trial.rule, it.trial.model
    if rule is None or model is None or rule.figure > model.figure:
        return ""
    step = "columns that tell more of the label, or more rows"
    if it.series and not it.prediction.horizon_hours:
        step = f"`--horizon-steps {it.series.of_a_day}`, which predicts the label from its past"
    return (
        f"warning: on the rows that validate {it.naive.rule} is nearer ({short(rule.figure)}) than the model "
        f"({short(model.figure)}), which its gate would refuse. Next: {step}"
    )


def of_watching(it: Proposal) -> Iterator[str]:
    """What gates will not be able to tell, and what a horizon would do. `millrace alarms` says what is not watched."""
    if not it.spans.are_comparable:
        yield (
            f"a later model will be refused: the test rows are of {it.spans.test_days} days, and comparing it with the "
            f"live model needs {FEWEST_BLOCKS}; raise test_days in workload.yaml once there are more days of rows"
        )
    if it.series and not it.prediction.horizon_hours:
        steps = it.series.of_a_day
        yield (
            f"the rows are {it.series.step} apart: --horizon-steps {steps} would predict the label so many rows later, "
            "from a history"
        )


def too_good(it: Proposal) -> Iterator[str]:
    """A warning of a figure that may hardly be true, which names the column."""
    model, rule = it.trial.model, it.trial.rule
    said, figure = _column_alone(it), ""
    if model and rule:
        figure = f" ({short(model.figure)} on the rows that validate, {short(rule.figure)} for the rule to beat)"
        if model.figure <= TOO_GOOD * rule.figure:
            other = "do other rows of the same person or thing tell the outcome (--group)?"
            said = said or f"no column alone tells it: {other}"
    if said:
        yield f"warning: too good to be true?{figure} {said}"


def _column_alone(it: Proposal) -> str:
    """A sentence on the column whose rule, on its own, is nearest to the answer; "" if none is near."""
    examples, target_N = it.rehearsal.examples, it.rehearsal.target_N
    if target_N.ndim > 1:
        return ""
    train, test = examples.parts.train, examples.parts.test
    is_class = target_N.dtype == np.int64 or set(np.unique(target_N[:1000]).tolist()) <= {0.0, 1.0}
    usual, best = naive_error(target_N, train, test, is_class=is_class), ("", np.inf, False)
    for name in it.features.columns:
        if name not in examples.table.column_names:
            continue
        place_N, width, _ = binned(examples.table[name], train)
        there_N = np.asarray(examples.table[name].is_valid()).astype(np.int64)
        error, presence = (
            rule_error(*one, target_N, train, test, is_class=is_class) for one in ((place_N, width), (there_N, 2))
        )
        if (least := min(error, presence)) < best[1]:
            best = (name, least, presence <= AS_GOOD * error)
    name, error, is_presence = best
    if not usual or error > (NEARLY if is_class else NEARLY_AMOUNT) * usual:
        return ""
    what = f"whether {name} is filled" if is_presence else name
    right = f"right on {1 - error:.1%} of the test rows" if is_class else f"off by {error:.3g} on average"
    plain = f"the class of most training rows on {1 - usual:.1%}" if is_class else f"the usual answer by {usual:.3g}"
    return f"{what} alone is {right}, {plain}: is it known at prediction time? (--leave-out {quote(name)})"


def _of_missing(it: Proposal) -> Iterator[str]:
    """Of the columns that a model reads, and those of the key. `_of_label` tells of rows without a label."""
    others = {*it.reading.label_names, *(one.name for one in it.features.others)} - {*it.reading.key}
    return empty_cells([column for column in it.reading.seen if column.name not in others])


def empty_cells(seen: Sequence[Profile]) -> Iterator[str]:
    """A sentence on the columns that have empty cells, the one with most of them first."""
    some = sorted((column for column in seen if column.empty), key=lambda column: -column.empty)
    if some:
        shown = [f"{column.name} {share_of(column.empty, len(column.cells))}" for column in some[:SHOWN]]
        more = [f"{len(some) - SHOWN} more columns"] * (len(some) > SHOWN)
        yield f"empty cells, which are missing: {', '.join([*shown, *more])}"


def _of_people(it: Proposal) -> Iterator[str]:
    """What a file without labels costs before its first version, and what comes next."""
    workload, *_ = declared(it.workload_yaml, it.contract_yaml)
    usd, hours = projected_usd(usages(workload, "prod")), it.learnt * SECONDS / 3600
    yield (
        f"no row has the label {it.prediction.label} yet: people are asked about {ASKED} rows at a time, drawn by "
        f"chance, and {it.learnt} answers start the first training: {hours:.1f} hours of work at {SECONDS} s each, and "
        f"{usd:.2f} USD at most; no endpoint runs before its version is live. Where the gates refuse it, each further "
        "quarter of so many answers trains again"
    )
    if not it.prediction.group:
        yield "without labels nobody can find what rows are about: several of one patient or machine want --group"


def _of_label(it: Proposal) -> Iterator[str]:
    label, horizon_hours = it.reading.label, it.prediction.horizon_hours
    if it.reading.choices.classes:
        yield from _of_people(it)
        return
    if label.empty and horizon_hours:
        held = "1 row holds" if label.empty == 1 else f"{label.empty:,} rows hold"
        yield (
            f"{held} no {label.name}: kept and predicted from, as contract.yaml does not require it, with a past that "
            f"lacks it; rows {horizon_hours:g} hours before them have no label, and no model learns from those"
        )
    elif label.empty:
        without = "1 row has" if label.empty == 1 else f"{label.empty:,} rows have"
        yield (
            f"{without} no label: quarantined; with `required: false` on {label.name} in contract.yaml they are kept, "
            "and learnt from once their label comes"
        )
    if not isinstance(it.reading.kind, Classes):
        return
    values = counted(label.cells)
    rows = sum(count for _, count in values)
    (most, many), (least, few) = values[0], values[-1]
    if len(values) == 2 and few < RARE * rows:
        said = f"{many / rows:.1%} of the rows are {most!r}: a model that never says {least!r} is right as often"
        yield f"{said}; of two classes `threshold` in workload.yaml moves the answer"
    rare = [f"{value!r} ({count})" for value, count in values if count < FEW_OF_A_CLASS]
    if rare:
        yield f"few rows of the class {first_of(rare)}: hardly anything can be learnt of it"


def _numbers(values: Iterable[float]) -> str:
    return first_of([f"{value:g}" for value in values])


def of_column(column: Profile) -> Iterator[str]:
    # Few far numbers are left out of the range; more of them stay in it, and are only reported.
    # The range of a share is 0 to 1, whatever lies far in it.
    rules = column_of(column).rules if column.is_number else ()
    if far := [value for value in far_values(column) if any(list(rule.of_cell(value)) for rule in rules)]:
        shown = _numbers(dict.fromkeys(far))
        yield f"{column.name}: far from all other values, left out of the range and so quarantined: {shown}"
    elif far := all_far_values(column):
        shown = _numbers(dict.fromkeys(far))
        yield (
            f"{column.name}: {len(far):,} cells are far from all other values and stay in the range: {shown}; do they "
            "mean missing (`missingValues` in contract.yaml), or another unit (a range without them quarantines their "
            "rows)?"
        )
    if below := few_below_zero(column):
        shown = _numbers(dict.fromkeys(below))
        cells = "1 cell is" if len(below) == 1 else f"{len(below):,} cells are"
        yield (
            f"{column.name}: {cells} below 0, all others are not: {shown}; the range takes such numbers: a minimum of "
            "0 in contract.yaml would quarantine their rows, `missingValues` take them as missing"
        )
    if said := odd_zeros(column):
        yield f"{column.name}: {said}"
    if far := far_times(column.cells):
        shown = first_of([f"{value} ({many:,})" if many > 1 else f"{value}" for value, many in far])
        yield (
            f"{column.name}: far from all other times: {shown}; if they mean missing, `missingValues` of the column in "
            "contract.yaml says so, with `required: false`"
        )


def spellings(seen: Sequence[Profile]) -> Iterator[str]:
    """A sentence on each column with words that differ only in capitals and spaces."""
    for column in seen:
        if column.kind != "string" or column.distinct > MOST_SPELLED:
            continue
        alike: dict[str, list[str]] = {}
        for value, rows in counted(column.cells):
            alike.setdefault(" ".join(value.lower().split()), []).append(f"{value!r} ({rows:,})")
        several = [" and ".join(words) for words in alike.values() if len(words) > 1]
        if several:
            shown = first_of(several, "; ")
            yield f"{column.name}: values that differ in capitals or spaces alone are different: {shown}"


NOTES: tuple[Callable[[Proposal], Iterable[str]], ...] = (
    lambda it: map(str, dict.fromkeys(it.reading.source.doubts)),
    lambda it: it.reading.notes,
    lambda it: [it.division.said] if it.division else [],
    too_good,
    _of_missing,
    _of_label,
    lambda it: (said for one in it.reading.seen if it.contract.column(one.name).find(Range) for said in of_column(one)),
    lambda it: equal_rows(it.accepted.drop_columns([LINE]), it.reading.key),
    lambda it: [] if it.reading.choices.classes else equal_images(it.accepted, it.reading.label.name, it.reading.key),
    lambda it: spellings(it.reading.seen),
)
