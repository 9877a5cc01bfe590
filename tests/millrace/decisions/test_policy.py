"""One answer and a table of answers lead to the same action, in every task and for every policy."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.contract.kinds import FLOATS, Kind, arrow_type
from millrace.contract.row import check_row
from millrace.contract.schema import Column, Table
from millrace.decisions.floor import compared, cost, is_share, judge, together
from millrace.decisions.policy import REASONS, Acting, act, act_all, is_held_out
from millrace.decisions.promise import LEAST, MOST, Labelled, follow
from millrace.decisions.record import ActionReason
from millrace.decisions.review import OPINIONS, PRIORITY
from millrace.decisions.road import complete
from millrace.messages.monitor import FloorDay
from millrace.tasks.answer import arrow_column, has_confidence
from millrace.tasks.catalogue import TASKS
from millrace.workload.policy import Automate, Costs, Floor, Policy, ReviewAbove
from tests.millrace.decisions.test_record import DECISION
from tests.outcomes import outcomes_of
from tests.plant import write_plant

ROWS = 400
AT = datetime(1997, 1, 2, tzinfo=UTC)
ABOVE = ReviewAbove(column="load", bound=0.1)
SURE = Automate(confidence=0.8)
FLOOR = Floor(labels=48)
COSTS = Automate(costs=Costs(false_positive=5, false_negative=40, review=1.5))
"""The same for every task: an answer is compared with `review` alone."""
LOADS = [None, 0.1, float(np.float32(0.1)), np.nextafter(0.1, 1), 0.2, -3.0, 1e39, float("nan"), 2.0**63]
"""Cells at the bound and around it, and such as float32 cannot hold."""
LIKENESS = np.random.default_rng(8).random(ROWS).tolist()
STANDS: dict[str, Acting | None] = {
    "without a policy": None,
    "sure": Acting(secret="s", policy=Policy(automate=SURE), threshold=0.8),
    "all": Acting(secret="s", policy=Policy(automate=SURE, review_above=ABOVE, held_out=0.2), threshold=0.8),
    "no threshold": Acting(secret="s", policy=Policy(automate=Automate(promised_error=0.05), held_out=0.2)),
    "bound": Acting(secret="s", policy=Policy(review_above=ABOVE)),
    "unlike": Acting(secret="s", policy=Policy(unlike_training=0.3, automate=SURE), threshold=0.8),
    "held out": Acting(secret="s", policy=Policy(held_out=0.5)),
    "paused": Acting(
        secret="s", policy=Policy(automate=SURE, review_above=ABOVE, held_out=0.2), threshold=0.8, stopped="paused"
    ),
    "below": Acting(
        secret="s", policy=Policy(automate=SURE, held_out=0.2, floor=FLOOR), threshold=0.8, below_floor=True
    ),
    "below and paused": Acting(
        secret="s", policy=Policy(review_above=ABOVE, floor=FLOOR), below_floor=True, stopped="paused"
    ),
    "below and bound": Acting(secret="s", policy=Policy(review_above=ABOVE, floor=FLOOR), below_floor=True),
    "costs": Acting(secret="s", policy=Policy(automate=COSTS, held_out=0.1), threshold=1.5),
    "other costs": Acting(secret="s", policy=Policy(automate=COSTS)),
    "shadowed": Acting(secret="s", policy=Policy(automate=SURE, review_above=ABOVE, shadowed=True), threshold=0.8),
    "shadowed, below": Acting(policy=Policy(review_above=ABOVE, floor=FLOOR, shadowed=True), below_floor=True),
    "unknown": Acting(secret="s", policy=Policy(automate=SURE), threshold=0.8, stopped="state_unknown"),
}


def answers_of(task: Any) -> pa.Table:
    """Answers as a container gives them, of many degrees of confidence."""
    rng, width = np.random.default_rng(7), task.objective.width
    output_NW = rng.dirichlet(np.full(max(width, 2), 0.4), ROWS)[:, :width].astype(np.float32)
    answers = task.answers(output_NW)
    fields = {field.name: arrow_column(field, answers[field.name]) for field in task.answer}
    return pa.table({**fields, "likeness": pa.array(LIKENESS)})


@pytest.mark.parametrize("stands", STANDS)
@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("type_", [pa.float64(), pa.float32()])
def test_a_row_and_a_table_lead_to_the_same_actions(kind: str, stands: str, type_: pa.DataType, tmp_path: Path) -> None:
    task, acting = write_plant(tmp_path, kind).task, STANDS[stands]
    if acting and acting.policy.automate and not has_confidence(task):
        pytest.skip("refused when the app is synthesized")
    if acting and acting.policy.costs:
        if not hasattr(task, "costs"):
            pytest.skip("refused where the workload is loaded")
        size = len(task.class_names)
        task = replace(task, costs=tuple(tuple(0.0 if at == to else 5.0 for to in range(size)) for at in range(size)))
    answers, customers = answers_of(task), [f"c-{number % 7}" for number in range(ROWS)]
    times = [AT + timedelta(minutes=number) for number in range(ROWS)]
    if stands == "costs":
        # An answer that costs exactly as much as a person acts.
        acting = replace(acting, threshold=answers["expected_cost"][1].as_py())
    loads = [LOADS[number % len(LOADS)] for number in range(ROWS)]
    cells = pa.table(
        {"load": pa.array(loads, pa.float64()).cast(type_, safe=False), "customer": customers, "at": pa.array(times)}
    )
    # Below the floor the rule may not know every second row.
    below = [acting is not None and acting.below_floor and number % 2 == 0 for number in range(ROWS)]
    given = {"answers": answers, "cells": cells, "event_time": "at", "key": ["customer"], "below_floor": below}
    together = act_all(acting, **given).to_pylist()
    # A request has the cells as JSON has them, whatever type the column has in a file.
    alone = [
        act(
            acting and replace(acting, below_floor=under),
            output=output,
            cells={"load": load},
            event_time=at,
            key={"customer": customer},
            watched={"likeness": likeness},
        )
        for output, load, likeness, at, customer, under in zip(
            answers.to_pylist(), loads, LIKENESS, times, customers, below, strict=True
        )
    ]
    assert together == [vars(one) for one in alone]
    if stands == "costs":
        assert {one["reason"] for one in together} == {"held_out", "unsure", "sure"}


def test_every_reason_has_an_action_and_whatever_a_person_gets_its_place_in_the_queue() -> None:
    assert {reason for reasons in REASONS.values() for reason in reasons} == {*get_args(ActionReason)}
    asked = {"no_model", "labels_wanted", "label_error", "assisted", "assisted_blind", *OPINIONS.values()}
    assert PRIORITY.keys() == asked.union(REASONS["review"])


EVERY = Policy(automate=SURE, review_above=ABOVE, held_out=0.5, floor=FLOOR)
ODD = Policy(unlike_training=0.01)
SEEN = EVERY.model_copy(update={"shadowed": True})
SMALL, GONE = {"cells": {"load": 0}}, {"cells": {"load": 0}, "fallback": True}


@pytest.mark.parametrize(
    ("stands", "given", "expected"),
    [
        ({}, {}, {"held_out", "above_bound"}),
        ({"stopped": "paused"}, {}, {"held_out", "paused"}),
        ({"stopped": "state_unknown", "secret": ""}, {}, {"state_unknown"}),
        ({"below_floor": True}, SMALL, {"held_out", "below_floor"}),
        ({"below_floor": True, "stopped": "paused"}, GONE, {"held_out", "paused"}),
        ({"below_floor": True}, GONE, {"held_out", "no_model"}),
        ({"policy": ODD}, {}, {"unlike"}),
        ({"policy": SEEN}, {}, {"held_out", "would_wait"}),
        ({"policy": SEEN, "threshold": 0.5}, SMALL, {"held_out", "sure"}),
        ({"policy": SEEN}, {"fallback": True}, {"held_out", "no_model"}),
        ({"policy": SEEN, "below_floor": True}, {}, {"held_out", "below_floor"}),
        ({"policy": SEEN, "stopped": "paused"}, {}, {"held_out", "paused"}),
        ({"policy": ODD}, {"watched": {"likeness": 0.0099}}, {"unlike"}),
        ({"policy": ODD}, {"watched": {"likeness": 0.01}}, {"within_bounds"}),
    ],
)
def test_the_reason_that_comes_first_counts(stands: Any, given: Any, expected: set[str]) -> None:
    """What a person decides goes before whoever answers, and of rows that are held out nobody is told."""
    acting = Acting(**{"policy": EVERY, "secret": "s"} | stands)
    row = {"output": {"value": 1, "confidence": 0.5}, "cells": {"load": 5}, "watched": {}} | given
    assert {act(acting, event_time=AT, key={"k": key}, **row).reason for key in range(99)} == expected


KEYS: dict[Kind, dict[Any, list[Any]]] = {
    "int32": {1: [1], -5: [-5]},
    "int64": {1: [1], 2**53 + 1: [2**53 + 1]},
    "float32": {
        0.1: [0.1],
        3.0: [3, 3.0],
        1e30: [1e30, 10**30],
        2.0**24: [2**24 + 1, 2.0**24 + 1, 2.0**24],
        0.0: [-0.0, 0],
    },
    "float64": {
        1.0: [1, 1.0],
        1e39: [1e39, 10**39],
        2.0**60: [2**60, 2.0**60, 2**60 + 1],
        -1e300: [-1e300, -(10**300)],
    },
    "string": {one: [one] for one in ("ann", "1997-06-01", "1997-none", "1", "true")},
    "boolean": {True: [True, 1], False: [False, 0]},
    "date": {date(1997, 6, 1): ["1997-06-01"]},
    "timestamp": {datetime.fromisoformat("1997-06-01T00:30:00"): ["1997-06-01T00:30", "1997-06-01 00:30:00.0"]},
    "timestamp_utc": {datetime(1997, 6, 1, tzinfo=UTC): ["1997-06-01T02:00:00+02:00", "1997-06-01T00:00Z"]},
}
"""By kind: each cell of a file, and the same cell as a request may write it."""


@pytest.mark.parametrize("kind", KEYS)
def test_a_request_and_a_file_hold_out_the_same_rows(kind: Kind) -> None:
    type_, table = arrow_type(kind), Table(name="rows", columns=(Column(name="key", kind=kind),))
    spellings = [(cell, own) for cell, owns in KEYS[kind].items() for own in owns]
    for number, (cell, own) in enumerate(spellings):
        (row,) = complete([{"key": own}], table, at=AT, ids=["r-0"])
        assert check_row(row, table) == ()
        minutes = range(64)
        times = pa.array([AT.replace(tzinfo=None) + timedelta(minutes=one) for one in minutes], pa.timestamp("ms"))
        rows = pa.table({"at": times, "key": pa.array([cell] * len(minutes), type_)})
        floats = frozenset(("key",) if kind in FLOATS else ())
        for is_timeless in (False, True):
            policy, secret = Policy(held_out=0.5), f"s{number}"
            acting = Acting(policy=policy, secret=secret, float_keys=floats, is_timeless=is_timeless)
            together = act_all(acting, answers=rows, cells=rows, event_time="at", key=["key"])["reason"].to_pylist()
            alone = [
                act(acting, output={}, cells={}, event_time=AT + timedelta(minutes=one), key=row, watched={}).reason
                for one in minutes
            ]
            assert together == alone
            assert len({*alone}) == (1 if is_timeless else 2), "a row whose time says nothing is drawn once for all"


def test_what_is_held_out_is_spread_evenly() -> None:
    """Over ids that differ in their last digits alone. By chance 0.9 of a hundred stretches is 2.6 deviations off."""
    ids = [f"7c1b2f0e-55aa-4c1e-9d70-{number}" for number in range(100_000)]
    held = np.array([is_held_out(one, 0.1, "s") for one in ids]).reshape(100, 1000).sum(axis=1)
    off = np.abs(held - 100) / np.sqrt(90)
    assert (off > 2.6).sum() <= 4
    assert off.max() < 4


PROMISED = 0.05
DAY = 48
Floats = npt.NDArray[np.float64]


def labelled(confidence: float, *, acted: bool, error: float) -> Labelled:
    return Labelled(confidence=confidence, acted=acted, error=error)


def lived(worse_N: Floats, *, seed: int, start: float | None) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Which answers acted, and which were wrong, on a stream whose answers are so much worse, in log-odds, than they
    say. A day's labels arrive at the end of the next day."""
    generator = np.random.default_rng(seed)
    odds = np.abs(generator.normal(0, 2.5, len(worse_N)))
    wrong = generator.random(len(odds)) < 1 / (1 + np.exp(odds - worse_N))
    confidence = 1 / (1 + np.exp(-odds))
    acted, threshold = np.zeros(len(odds), dtype=bool), start
    for day in range(0, len(odds), DAY):
        acted[day : day + DAY] = threshold is not None and confidence[day : day + DAY] >= (threshold or 0)
        known = range(max(day - DAY, 0), day)
        batch = [labelled(float(confidence[n]), acted=bool(acted[n]), error=float(wrong[n])) for n in known]
        threshold = follow(threshold, batch, promised=PROMISED)
    return acted, wrong.astype(float)


@pytest.mark.parametrize("seed", range(3))
def test_the_promise_is_kept_while_the_stream_changes(seed: int) -> None:
    seasons = 0.5 * np.sin(np.arange(40_000) / 2_880)
    acted, wrong = lived(seasons, seed=seed, start=0.95)
    assert abs(wrong[acted].mean() - PROMISED) < 0.005
    late, still_wrong = lived(seasons, seed=seed, start=None)
    assert late.mean() > 0.6 * acted.mean()
    assert abs(still_wrong[late].mean() - PROMISED) < 0.008


@given(
    st.none() | st.floats(LEAST, MOST),
    st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.sampled_from([0.0, 1.0])), max_size=60),
)
def test_it_stays_within_its_bounds(start: float | None, rows: list[tuple[float, bool, float]]) -> None:
    batch = [labelled(confidence, acted=acted, error=error) for confidence, acted, error in rows]
    found = follow(start, batch, promised=PROMISED)
    if not rows:
        assert found == start
    else:
        assert found is not None
        assert LEAST - 1e-9 <= found <= MOST + 1e-9


FLOOR_FLOOR = Floor(labels=96, return_labels=96, margin=0.02)
NEW_YEAR = datetime(1997, 1, 1, tzinfo=UTC)


def days(*figures: tuple[float, float], labels: int = 48) -> list[FloorDay]:
    """Successive days with these sums of the version and of the rule."""
    return [
        FloorDay(day=f"1997-01-{number:02}", labels=labels, own=own, rule=rule)
        for number, (own, rule) in enumerate(figures, start=1)
    ]


@pytest.mark.parametrize(
    ("own", "rule", "labels", "from_above", "from_below"),
    [
        (48, 0, 48, False, True),
        (0, 48, 48, False, True),
        (30, 20, 96, True, True),
        (21, 20, 96, False, True),
        (19, 20, 96, False, True),
        (17, 20, 96, False, False),
    ],
)
def test_to_and_fro_need_labels_and_the_margin(
    own: int, rule: int, labels: int, from_above: bool, from_below: bool
) -> None:
    """The margin of 96 labels is 1.92 wrong answers."""
    came = days(*[(own / 2, rule / 2)] * 2, labels=labels // 2)
    found = [judge(came, below=below, floor=FLOOR_FLOOR, is_share=True).below for below in (False, True)]
    assert found == [from_above, from_below]


def test_the_version_comes_back_only_if_it_is_better_on_many_labels_too() -> None:
    """Two bad days, then two good ones: the rule takes over by two days, and gives way by four."""
    floor = Floor(labels=96, return_labels=192, margin=0.02)
    bad, good = (30, 10), (5, 20)
    assert judge(days(good, good, bad, bad), below=False, floor=floor, is_share=True).below
    found = judge(days(good, bad, bad, good, good), below=True, floor=floor, is_share=True)
    assert (found.below, len(found.days)) == (True, 4)
    assert judge(days(bad, good, good, good), below=True, floor=floor, is_share=True).below is False
    assert judge(days(good, good, good), below=True, floor=floor, is_share=True).below, "144 labels are too few"
    assert Floor(labels=96).labels_to_return == 14 * 96


def test_the_margin_of_amounts_is_a_share_of_the_rules_figure() -> None:
    for own, below in ((101.9, False), (102.1, True)):
        assert judge(days((own, 100), labels=96), below=False, floor=FLOOR_FLOOR, is_share=False).below is below


def test_the_newest_days_count_and_are_kept_and_one_that_comes_again_counts_once() -> None:
    found = judge(days((48, 0), (48, 0), (0, 20), (0, 20)), below=True, floor=FLOOR_FLOOR, is_share=True)
    assert (found.below, [one.day for one in found.days]) == (False, ["1997-01-03", "1997-01-04"])
    first, second = days((1, 2), (3, 4))
    assert together([first, second], [second]) == [first, second]


def test_where_a_class_is_rare_the_log_loss_counts(tmp_path: Path) -> None:
    task = write_plant(tmp_path, "binary").task
    sure, even = ({"value": int(p >= 0.5), "probability": p} for p in (0.9, 0.5))
    assert cost(sure, "on", task, "log_loss") == pytest.approx(-math.log(0.9))
    assert cost(sure, "off", task, "log_loss") == pytest.approx(-math.log(0.1))
    assert [cost(sure, label, task, "error") for label in ("on", "off")] == [0, 1]
    assert (is_share(task, "error"), is_share(task, "log_loss")) == (True, False)
    moments = (timedelta(0), timedelta(hours=1), timedelta(days=1))
    decisions = [replace(DECISION, event_time=NEW_YEAR + after, output=sure) for after in moments]
    outcomes = outcomes_of(decisions, ("on", "off", "on"), [0.0] * 3)
    first, second = compared(outcomes, [even] * 3, task, "log_loss")
    assert (first.day, first.labels, second.day, second.labels) == ("1997-01-01", 2, "1997-01-02", 1)
    assert first.own == pytest.approx(-math.log(0.9) - math.log(0.1))
    assert first.rule == pytest.approx(2 * math.log(2))
