"""One answer and a table of answers lead to the same action, in every task and for every policy."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest

from millrace.decisions.held_out import are_held_out, is_held_out
from millrace.decisions.policy import REASONS, Acting, act, act_all
from millrace.decisions.record import ActionReason
from millrace.decisions.review import PRIORITY
from millrace.tasks.answer import arrow_column, has_confidence
from millrace.tasks.catalogue import TASKS
from millrace.workload.policy import Automate, Costs, Floor, Policy, ReviewAbove
from tests.plant import write_plant

ROWS = 400
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
    "sure": Acting(policy=Policy(automate=SURE), threshold=0.8),
    "all": Acting(policy=Policy(automate=SURE, review_above=ABOVE, held_out=0.2), threshold=0.8),
    "no threshold": Acting(policy=Policy(automate=Automate(promised_error=0.05), held_out=0.2)),
    "bound": Acting(policy=Policy(review_above=ABOVE)),
    "unlike": Acting(policy=Policy(unlike_training=0.3, automate=SURE), threshold=0.8),
    "held out": Acting(policy=Policy(held_out=0.5)),
    "paused": Acting(policy=Policy(automate=SURE, review_above=ABOVE, held_out=0.2), threshold=0.8, stopped="paused"),
    "below": Acting(
        policy=Policy(automate=SURE, held_out=0.2, floor=Floor(labels=48)), threshold=0.8, below_floor=True
    ),
    "costs": Acting(policy=Policy(automate=COSTS, held_out=0.1), threshold=1.5),
    "other costs": Acting(policy=Policy(automate=COSTS)),
    "unknown": Acting(policy=Policy(automate=SURE), threshold=0.8, stopped="state_unknown"),
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
    answers, ids = answers_of(task), [f"r-{number}" for number in range(ROWS)]
    if stands == "costs":
        # An answer that costs exactly as much as a person acts.
        acting = replace(acting, threshold=answers["expected_cost"][1].as_py())
    loads = [LOADS[number % len(LOADS)] for number in range(ROWS)]
    cells = pa.table({"load": pa.array(loads, pa.float64()).cast(type_, safe=False)})
    together = act_all(acting, answers=answers, cells=cells, ids=pa.array(ids)).to_pylist()
    # A request has the cells as JSON has them, whatever type the column has in a file.
    alone = [
        act(acting, output=output, cells={"load": load}, decision_id=name, watched={"likeness": likeness})
        for output, load, likeness, name in zip(answers.to_pylist(), loads, LIKENESS, ids, strict=True)
    ]
    assert together == [vars(one) for one in alone]
    if stands == "costs":
        assert {one["reason"] for one in together} == {"held_out", "unsure", "sure"}


def test_every_reason_has_its_action(tmp_path: Path) -> None:
    answers = answers_of(write_plant(tmp_path, "binary").task)
    met: dict[str, str] = {}
    for acting in STANDS.values():
        for number, output in enumerate(answers.to_pylist()):
            cells = {"load": LOADS[number % len(LOADS)]}
            one = act(acting, output=output, cells=cells, decision_id=f"r-{number}", watched={})
            met[one.reason] = one.action
    silent = act(STANDS["all"], output={"value": None}, cells={}, decision_id="r", watched={}, fallback=True)
    met[silent.reason] = silent.action
    assert met.keys() == set(get_args(ActionReason))
    assert Counter(met.values()) == {"automated": 3, "fallback": 2, "review": 7}


def test_whatever_sends_a_row_to_a_person_has_its_place_in_the_queue() -> None:
    assert PRIORITY.keys() == set(REASONS["review"])


def test_the_reason_that_comes_first_counts() -> None:
    policy = Policy(automate=SURE, review_above=ABOVE, held_out=0.5)
    held = next(name for name in map(str, range(99)) if is_held_out(name, 0.5))
    free = next(name for name in map(str, range(99)) if not is_held_out(name, 0.5))
    unsure, large = {"value": 1, "confidence": 0.5}, {"load": 5}

    def reason(decision_id: str, **stands: Any) -> str:
        return act(
            Acting(policy=policy, **stands), output=unsure, cells=large, decision_id=decision_id, watched={}
        ).reason

    assert reason(held, stopped="paused") == "held_out", "a pause tells nobody what the model says of it"
    assert reason(free, stopped="paused") == "paused"
    assert reason(free) == "above_bound"


def test_a_row_of_which_nobody_knows_how_far_it_is_goes_to_a_person() -> None:
    acting = Acting(policy=Policy(unlike_training=0.01))

    def reason(**watched: float) -> str:
        return act(acting, output={"value": 1}, cells={}, decision_id="r", watched=watched).reason

    assert [reason(), reason(likeness=0.0099), reason(likeness=0.01)] == ["unlike", "unlike", "within_bounds"]


def test_the_held_out_share_is_kept_and_grows_with_the_share() -> None:
    ids = [f"call-{number}" for number in range(20_000)]
    tenth, fifth = ({one for one in ids if is_held_out(one, share)} for share in (0.1, 0.2))
    assert len(tenth) == pytest.approx(2000, abs=130)
    assert tenth < fifth
    assert not any(is_held_out(one, 0) for one in ids)


@pytest.mark.parametrize(
    "ids",
    [
        [f"{'4b1c9f20' * (number % 7)}-{number}" for number in range(3000)],
        ["", "x", "12345678", "123456789", "a" * 200],
        ["naïve-1", "plain-2", "数字-3"],
        [],
    ],
    ids=["of any length", "at the edges", "not ASCII", "none"],
)
def test_many_ids_are_held_out_as_one_is(ids: list[str]) -> None:
    for share in (1e-9, 0.01, 0.5):
        found = are_held_out(pa.array(ids, pa.string()), share)
        assert found.to_pylist() == [is_held_out(one, share) for one in ids]
    cut = pa.array(["before", *ids, "after"], pa.string()).slice(1, len(ids))
    assert are_held_out(cut, 0.5).to_pylist() == [is_held_out(one, 0.5) for one in ids]


def test_what_is_held_out_is_spread_evenly() -> None:
    """Over ids that differ in their last digits alone. By chance 0.9 of a hundred stretches is 2.6 deviations off."""
    ids = [f"7c1b2f0e-55aa-4c1e-9d70-{number}" for number in range(100_000)]
    held = np.array(are_held_out(pa.array(ids), 0.1)).reshape(100, 1000).sum(axis=1)
    off = np.abs(held - 100) / np.sqrt(90)
    assert (off > 2.6).sum() <= 4
    assert off.max() < 4
    # Nor does it matter in which order the parts of an id are.
    swapped = [(f"{number:08}{number + 7:08}", f"{number + 7:08}{number:08}") for number in range(1000)]
    assert 400 < sum(is_held_out(one, 0.5) is is_held_out(other, 0.5) for one, other in swapped) < 600
    # Neighbours and digits say nothing of each other.
    flat = np.array([is_held_out(one, 0.5) for one in ids[:20_000]], float)
    for lag in (1, 2, 10, 100):
        assert abs(np.corrcoef(flat[:-lag], flat[lag:])[0, 1]) < 0.03
