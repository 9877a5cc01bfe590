"""Proposes what surrounds a model's answers: who decides, who answers instead, how a version climbs, more gates.

`workload.yaml.j2` has the lines, each with its reason and what it costs. With `--plain` there is none of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from millrace.console.new.words import PROTECTED, words_of_name
from millrace.contract.kinds import FLOATS, INTEGERS
from millrace.datasets.known_rows import MOST_ROWS
from millrace.errors import ConfigurationError
from millrace.evaluation.gates.robustness import Robustness
from millrace.evaluation.measures.groups import MOST_VALUES
from millrace.evaluation.measures.selective import RISK
from millrace.tasks.answer import has_confidence
from millrace.workload.prices import usd_per_hour

if TYPE_CHECKING:
    from millrace.console.new.declare import ProposedPrediction
    from millrace.console.new.reading import Reading
    from millrace.console.new.rehearsal import Rehearsal

AMOUNTS = (*INTEGERS, *FLOATS)
PROMISES = (0.05, 0.02, 0.01)
"""The errors that are promised, the first of at most half the rule's error: a larger promise says little."""
FURTHEST, MOST_ASKED, ALIKE = 0.99, 0.05, 0.3
"""The share of the rows whose number is no reason to ask a person; the most that are asked about, of a number with few
values; the least correlation with the label of a number that says how much is at stake."""
SHARES, JUDGED, FEWEST_JUDGED = (0.1, 0.25, 0.5), 300, 30
"""The shares of the requests that a canary may answer: the first with JUDGED, else the last with FEWEST_JUDGED."""
CANARY_DAYS = 1.5
"""The days in which a canary shall have its requests: half of those after which it is refused."""
NOISE, PIXEL_NOISE = 0.1, 0.02
GROUP_ROWS = 200
"""The test rows that a group shall have: twice as many as the gates judge, since later test rows are others."""


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """The values of the proposed lines; None where a line makes no sense."""

    fallback: tuple[Any, ...]
    known_hours: float | None
    """The hours of rows that are known of each key for the rule."""
    promised_error: float | None
    review_above: dict[str, Any] | None
    canary: dict[str, Any] | None
    usd_a_day: float
    """What an instance costs in prod."""
    hurts: str
    """The class that is bad to miss; "" if none is."""
    threshold: float | None
    robustness: dict[str, Any] | None
    people: tuple[str, ...]
    """The columns of a person by whose groups the error is judged."""

    @property
    def calls_a_day(self) -> int:
        """So many calls bring the canary its requests in time."""
        return round(self.canary["requests"] / self.canary["share"] / CANARY_DAYS) if self.canary else 0


def decisions_of(
    reading: Reading, prediction: ProposedPrediction, rehearsal: Rehearsal, *, days: int, every_hours: float
) -> Decisions | None:
    """What is proposed for rows of so many days; None with `--plain`. `every_hours` is 0 if they are no series.

    Raises ConfigurationError if `--hurts` names no class of the label, or the other one of two."""
    choices, task, naive, rows = reading.choices, rehearsal.task, rehearsal.naive, reading.source.table.num_rows
    _check_hurts(reading, prediction, rehearsal)
    if choices.is_plain or choices.classes:
        return None
    hours = 2.0 * max([naive.lag_hours or 0.0, *(one["hours"] for one in prediction.derived if "history" in one)])
    # An earlier label can be repeated if it is known of its key. Where it is not, two classes still have their shares.
    has_rule = naive.lag_hours is None or (
        not prediction.labels and hours / (every_hours or 24 * max(days, 1) / rows) <= MOST_ROWS
    )
    share = None if prediction.positive is None else float(np.mean(rehearsal.target_N))
    constant = [{"constant": round(min(max(share, 0.01), 0.99), 2)}] if naive.lag_hours and share is not None else []
    calls = choices.calls_a_day or (rows / days if prediction.is_in_time else 0)
    return Decisions(
        fallback=("previous", *["rule"] * has_rule, *constant),
        known_hours=hours if naive.lag_hours and has_rule else None,
        promised_error=_promised(naive.error, rehearsal.calibration_rows) if has_confidence(task) else None,
        review_above=None if task.error_is_share else _largest(reading, prediction, rehearsal),
        canary=_canary(calls),
        usd_a_day=24 * usd_per_hour("ml.c6i.xlarge"),
        hurts=choices.hurts,
        threshold=max(0.01, round(share, 2)) if choices.hurts and share is not None and share < 0.5 else None,
        robustness=_robustness(prediction, rehearsal) if task.error_is_share else None,
        people=tuple(_of_people(reading, rehearsal)) if naive.error else (),
    )


def _check_hurts(reading: Reading, prediction: ProposedPrediction, rehearsal: Rehearsal) -> None:
    hurts, positive = reading.choices.hurts, prediction.positive
    classes = reading.label.cells.drop_null().unique().to_pylist() if has_confidence(rehearsal.task) else []
    named = [str(one) for one in (classes if positive is None else [positive])]
    if hurts and hurts not in named:
        expected = f"one of {', '.join(named)}, or another --positive" if classes else "a label that is a class"
        raise ConfigurationError(where=reading.where, field="--hurts", expected=expected, came=hurts)


def _promised(rule_error: float, rows: int) -> float | None:
    """The error to promise; None if so many rows cannot show it, were no answer wrong: (1 - error)^rows > RISK."""
    needed = {error: math.log(RISK) / math.log(1 - error) for error in PROMISES if error <= rule_error / 2}
    return next((error for error in needed if rows >= needed[error]), None)


def _largest(reading: Reading, prediction: ProposedPrediction, rehearsal: Rehearsal) -> dict[str, Any] | None:
    """The bound on the number that goes most with the label: the label itself if it lies ahead.

    None without a number like it that every row has and of which few rows have most."""
    ahead = prediction.label_columns if prediction.horizon_hours else prediction.features
    first_N = rehearsal.target_N.reshape(rehearsal.target_N.shape[0], -1)[:, 0]
    found: dict[float, dict[str, Any]] = {}
    for column in reading.contract.columns:
        if column.name in {*ahead} & {*prediction.features} and column.kind in AMOUNTS and column.required:
            value_N = rehearsal.examples.table[column.name].to_numpy().astype(np.float64)
            bound = min(np.quantile(value_N, FURTHEST), max(value_N[value_N < value_N.max()], default=-np.inf))
            if (value_N > bound).mean() <= MOST_ASKED:
                alike = abs(np.corrcoef(value_N, first_N)[0, 1])
                found[alike] = {"column": column.name, "bound": float(f"{bound:.6g}")}
    return found[max(found)] if max(found, default=0) >= ALIKE else None


def _canary(calls: float) -> dict[str, Any] | None:
    """The share and number of requests; None if too few come."""
    share = next((share for share in SHARES if calls * share * CANARY_DAYS >= JUDGED), SHARES[-1])
    requests = min(int(calls * share * CANARY_DAYS), 3000)
    return {"share": share, "requests": requests} if requests >= FEWEST_JUDGED else None


def _robustness(prediction: ProposedPrediction, rehearsal: Rehearsal) -> dict[str, Any] | None:
    noise = PIXEL_NOISE if prediction.image_side else NOISE
    for damage in ({"noise": noise, "missing": NOISE}, {"noise": noise}, {"missing": NOISE}):
        if not Robustness(**damage, max_rise=0.1).misfit(rehearsal.task, rehearsal.tensors):
            return {**damage, "max_rise": 0.1}
    return None


def _of_people(reading: Reading, rehearsal: Rehearsal) -> Iterator[str]:
    """The protected columns of which the test rows have two groups or more that can be judged.

    A number of many values is cut into quarters; a telephone number says nothing of a group."""
    test = rehearsal.examples.part(rehearsal.examples.parts.test)
    for column in (one for one in reading.contract.columns if one.is_protected and not one.label):
        counts = pc.value_counts(test[column.name].drop_null().combine_chunks()).field("counts").to_numpy()
        if len(counts) > MOST_VALUES and column.kind in AMOUNTS and PROTECTED & {*words_of_name(column.name)}:
            counts = np.full(4, test.num_rows // 4)
        if (counts >= GROUP_ROWS).sum() > 1:
            yield column.name
