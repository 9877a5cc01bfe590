"""Says where a trial's figure is too good to be true, and which column alone is nearly the answer."""

from __future__ import annotations

from shlex import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.console.new.features import Features, binned, naive_error, rule_error
from millrace.console.new.rehearsal import Rehearsal
from millrace.console.new.trial import Trial
from millrace.tasks.figures import short

TOO_GOOD = 0.2
"""A model is too good to be true if its figure is at most this share of the naive rule's."""
NEARLY = 0.35
"""A column alone is nearly the answer if its rule keeps at most this share of the naive error."""
NEARLY_AMOUNT = 0.15
"""The same share if the label is a number: a list price or a duration may tell most of an amount, and be known."""
AS_GOOD = 1.2
"""A column tells by its presence alone if that keeps at most so many times the error of its values."""


def too_good(trial: Trial, rehearsal: Rehearsal, features: Features) -> str:
    """A warning that names the column; "" for a figure that may be true."""
    model, rule = trial.model, trial.rule
    is_surprising = bool(model and rule and model.figure <= TOO_GOOD * rule.figure)
    said = _column_alone(rehearsal, features)
    if not said and not is_surprising:
        return ""
    figure = ""
    if model and rule:
        figure = f" ({short(model.figure)} on the rows that validate, {short(rule.figure)} for the rule to beat)"
    said = said or "no column alone tells it: do other rows of the same person or thing tell the outcome (--group)?"
    return f"warning: too good to be true?{figure} {said}"


def afterwards(rows: pa.Table, event_time: str, features: Features) -> list[str]:
    """A warning for each feature that reads a time which lies after the event time wherever both are filled."""
    found = []
    for name in [each["calendar"] for each in features.derived if "calendar" in each]:
        if name == event_time or rows[name].type != rows[event_time].type:
            continue  # a time with a zone and one without cannot be compared
        is_later, is_same = (test(rows[name], rows[event_time]) for test in (pc.greater, pc.equal))
        if pc.any(is_later).as_py() and pc.all(pc.or_(is_later, is_same)).as_py():
            what = f"{name} is never before {event_time}: is it known at prediction time, and not only afterwards?"
            found.append(f"warning: {what} (--leave-out {quote(name)})")
    return found


def _column_alone(rehearsal: Rehearsal, features: Features) -> str:
    """A sentence on the column whose rule, on its own, is nearest to the answer; "" if none is near."""
    examples, target_N = rehearsal.examples, rehearsal.target_N
    if target_N.ndim > 1:
        return ""
    train, test = examples.parts.train, examples.parts.test
    is_class = target_N.dtype == np.int64 or set(np.unique(target_N[:1000]).tolist()) <= {0.0, 1.0}
    usual, best = naive_error(target_N, train, test, is_class=is_class), ("", np.inf, False)
    for name in features.columns:
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
    plain = f"the usual answer on {1 - usual:.1%}" if is_class else f"the usual answer by {usual:.3g}"
    return f"{what} alone is {right}, {plain}: is it known at prediction time? (--leave-out {quote(name)})"
