"""A second person answers the same row, blind to the first answer; a third one where the two differ."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from millrace.console.actions.reviews import Reviewer
from millrace.console.environment import Environment
from millrace.console.queries.agreement import Agreement, agreement_in_words
from millrace.console.queries.own_answers import find_own_answers
from millrace.console.queries.reviews import find_items
from millrace.errors import ReviewError
from tests.console.web.queue_of_items import NAMES, item
from tests.console.web.test_review import environment as environment
from tests.console.web.test_review import labels


@pytest.fixture
def people(environment: Environment) -> dict[str, Reviewer]:
    return {by: Reviewer.of(environment, NAMES, source="terminal", by=by) for by in ("ann", "ben", "cid")}


def answers(reviewer: Reviewer, value: str, *, of: str) -> None:
    held = reviewer.next()
    assert held
    assert (held.item.id, held.item.output is None) == (of, of != "r-1")
    reviewer.answer(held, value, seconds=3)
    reviewer.finish()


@pytest.mark.parametrize(("second", "agreed"), [(">50K", 1), ("<=50K", 0)])
def test_the_first_answer_counts_until_a_third_person_says_another(
    environment: Environment, people: dict[str, Reviewer], second: str, agreed: int
) -> None:
    ann, ben, cid = people.values()
    ann.reviews.queue.open(item(1, is_twice=True))
    answers(ann, ">50K", of="r-1")
    queue, now = ann.reviews.queue, environment.now()
    assert (queue.count(most=9, now=now), queue.count(most=9, now=now, has_opinions=False)) == (1, 0)
    assert queue.oldest(now=now) is None, "nobody waits for a second opinion"
    assert ann.next() is None
    with pytest.raises(ReviewError, match="for another person"):
        ann.take("+2+r-1")
    answers(ben, second, of="+2+r-1")
    assert [one["prediction_id"] for one in labels()] == ["r-1"], "no consumer waits for the second, nor has its label"
    assert (ann.next(), ben.next()) == (None, None)
    if not agreed:
        answers(cid, "<=50K", of="+3+r-1")
    assert cid.next() is None
    assert {one["income"] for one in labels()} == {">50K", second}
    assert {one["prediction_id"] for one in labels()} == {"r-1"}
    assert agreement_in_words(environment, NAMES).startswith(f"two people agree on {agreed:.0%} of one row")
    (own,) = find_own_answers(environment, NAMES, "ann", limit=9)
    assert own.cells["others"] == (">50K" if agreed else "▲ <=50K, ▲ <=50K")


def test_a_second_opinion_can_be_taken_back_and_passed_on_and_never_comes_to_the_first_person(
    environment: Environment, people: dict[str, Reviewer]
) -> None:
    ann, ben, cid = people.values()
    ann.reviews.queue.open(item(1, is_twice=True))
    answers(ann, ">50K", of="r-1")
    ben.answer(ben.take("+2+r-1"), "<=50K", seconds=1)
    back = ben.undo("+2+r-1")
    assert ann.next() is None
    ben.escalate(back, note="odd")
    assert (ann.next(), ben.next()) == (None, None)
    answers(cid, ">50K", of="+2+r-1")
    assert "+3+r-1" not in find_items(environment, NAMES, ["+3+r-1"])


def test_the_agreement_is_that_of_others() -> None:
    rng = np.random.default_rng(7)
    first = rng.choice(["a", "b", "c"], 60)
    second = np.where(rng.random(60) < 0.8, first, rng.choice(["a", "b", "c"], 60))
    found = Agreement(pairs=[*zip(first.tolist(), second.tolist(), strict=True)], is_compared=True)
    assert found.kappa == pytest.approx(cohen_kappa_score(first, second))
    share = binomtest(int((first == second).sum()), 60).proportion_ci(method="wilson")
    assert found.interval == pytest.approx((share.low, share.high), abs=1e-6)
    pairs: list[Any] = [
        tuple({one: cell == one for one in "ab"} for cell in both) for both in zip(first, second, strict=True)
    ]
    several = Agreement(pairs=pairs, is_compared=True)
    assert several.kappa == pytest.approx(np.mean([cohen_kappa_score(first == one, second == one) for one in "ab"]))
    assert Agreement(pairs=[(1, 1)] * 3, is_compared=True).kappa is None


@pytest.mark.parametrize("number", [lambda value: value, lambda value: (value, value)])
def test_numbers_are_said_to_lie_apart(number: Any) -> None:
    pairs = [(number(1.0), number(3.0)), (number(2.5), number(2.0)), (number(4), number(4))]
    assert Agreement(pairs=pairs, is_compared=False).apart == 0.5
