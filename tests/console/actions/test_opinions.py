"""A second person answers the same row, blind to the first answer; a third one where the two differ."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from millrace.console.actions.reviews import Reviewer
from millrace.console.environment import Environment
from millrace.console.queries.agreement import Agreement, agreement_in_words
from millrace.console.queries.own_answers import find_own_answers
from millrace.console.queries.reviews import find_items, reviews_of
from millrace.decisions.review import LabelValue
from millrace.errors import ReviewError
from millrace.workload.load import SUITE
from millrace.workload.policy import Guideline
from tests.console.web.queue_of_items import NAMES, item
from tests.console.web.test_review import environment as environment
from tests.console.web.test_review import labels


@pytest.fixture
def people(environment: Environment) -> dict[str, Reviewer]:
    return {by: replace(Reviewer.of(environment, NAMES, source="terminal"), by=by) for by in ("ann", "ben", "cid")}


def answers(reviewer: Reviewer, value: LabelValue, *, of: str) -> None:
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
    assert f"two people agree on {agreed:.0%} of one row" in agreement_in_words(environment, NAMES)
    (own,) = find_own_answers(environment, NAMES, "ann", limit=9)
    assert own.cells["others"] == (">50K" if agreed else "▲ <=50K, ▲ <=50K")


def test_each_answer_has_its_guideline_and_people_are_compared_under_the_present_one(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLRACE_WORKLOADS", str(tmp_path))
    shutil.copytree(SUITE / "workloads/income", tmp_path / "income", ignore=shutil.ignore_patterns("sample"))
    queue, versions = reviews_of(environment, NAMES).queue, []
    # Both under the first, then one under each, then both under the second.
    for number, texts in enumerate(["aa", "ab", "bb"], 1):
        queue.open(item(number, is_twice=True))
        for by, name, text in zip(("ann", "ben"), (f"r-{number}", f"+2+r-{number}"), texts, strict=True):
            (tmp_path / "income/guideline.md").write_text(text)
            reviewer = replace(Reviewer.of(environment, NAMES, source="terminal"), by=by)
            reviewer.answer(reviewer.take(name), ">50K", seconds=1)
            reviewer.finish()
            versions.append(Guideline(text=text).version)
    said = "two people agree on 100% of one row (21 to 100%); two rows under another guideline left out"
    assert agreement_in_words(environment, NAMES) == f"guideline {versions[-1]}: {said}"
    records = boto3.client("dynamodb").scan(TableName=NAMES.platform.audit_table)["Items"]
    assert sorted(json.loads(one["details"]["S"])["guideline"] for one in records) == sorted(versions)
    bucket, s3 = NAMES.platform.bucket("landing"), boto3.client("s3")
    files = [s3.head_object(Bucket=bucket, Key=one["Key"]) for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert sorted(one["Metadata"]["guideline"] for one in files) == sorted(versions[::2])
    owns = find_own_answers(environment, NAMES, "ann", limit=9)
    assert sorted(one.cells["guideline"] for one in owns) == sorted(versions[::2])


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
    found = Agreement(pairs=[*zip(first.tolist(), second.tolist(), strict=True)], tolerance=0)
    assert found.kappa == pytest.approx(cohen_kappa_score(first, second))
    share = binomtest(int((first == second).sum()), 60).proportion_ci(method="wilson")
    assert found.interval == pytest.approx((share.low, share.high), abs=1e-6)
    pairs: list[Any] = [
        tuple({one: cell == one for one in "ab"} for cell in both) for both in zip(first, second, strict=True)
    ]
    several = Agreement(pairs=pairs, tolerance=0)
    assert several.kappa == pytest.approx(np.mean([cohen_kappa_score(first == one, second == one) for one in "ab"]))
    assert Agreement(pairs=[(1, 1)] * 3, tolerance=0).kappa is None


@pytest.mark.parametrize("number", [lambda value: value, lambda value: (value, value)])
def test_numbers_are_said_to_lie_apart(number: Any) -> None:
    pairs = [(number(1.0), number(3.0)), (number(2.5), number(2.0)), (number(4), number(4))]
    assert Agreement(pairs=pairs, tolerance=None).apart == 0.5
    found = Agreement(pairs=pairs, tolerance=1)
    assert found.share == pytest.approx(2 / 3)
    assert "agree within 1 on 67% of three rows" in found.words


@pytest.mark.parametrize(("tolerance", "second", "kept"), [(2, 40, 38.5), (2, 41, 41), (None, 41, 38.5)])
def test_a_third_person_is_asked_of_numbers_that_lie_further_apart_and_the_median_is_the_label(
    environment: Environment, people: dict[str, Reviewer], tolerance: float | None, second: float, kept: float
) -> None:
    known, hours = people["ann"].question, "hours_per_week"
    number = replace(known.labels.column("income"), name=hours, kind="float64", rules=())
    columns = tuple(number if one.name == "income" else one for one in known.labels.columns)
    review = known.policy.review.model_copy(update={"tolerance": tolerance})
    question = replace(
        known,
        prediction=known.prediction.model_copy(update={"label": hours}),
        policy=known.policy.model_copy(update={"review": review}),
        labels=replace(known.labels, columns=columns),
    )
    ann, ben, cid = (replace(one, question=question) for one in people.values())
    ann.reviews.queue.open(item(1, is_twice=True))
    answers(ann, 38.5, of="r-1")
    answers(ben, second, of="+2+r-1")
    if kept != 38.5:
        answers(cid, 44, of="+3+r-1")
    assert cid.next() is None
    assert {one["hours_per_week"] for one in labels()} == {38.5, kept}
