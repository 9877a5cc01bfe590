"""Decisions that a person decides: they wait in the queue, two people get different ones, and answers become labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from millrace.console.actions.reviews import Reviewer
from millrace.console.cli.app import app
from millrace.console.environment import Environment
from millrace.console.queries.decisions import find_days
from millrace.console.queries.labels import find_labels
from millrace.console.queries.own_answers import find_own_answers
from millrace.console.queries.reviews import count_waiting, find_items, list_waiting, reviews_of
from millrace.decisions.record import Decision, canonical
from millrace.decisions.review import is_drawn
from millrace.errors import ReviewError
from millrace.tasks.answer import in_words
from millrace.workload.policy import Guideline
from tests.electricity import CLOCK, HOME, KNOWN, NAMES, SAMPLE, Electricity, live_electricity, sample
from tests.end_to_end.test_sweep import sweeping

ASKED = 24
POLICY = """
policy:
  automate: {confidence: 0.98}
  held_out: 0.3
  review: {hours: 48, alarm_hours: 8, twice: 0.5, guideline: README.md}
"""
GUIDELINE = Guideline(text=(HOME / "README.md").read_text())
TWICE = 0.5
WORDS = {0: "down", 1: "up"}
ANN, BEN, CID = (f"arn:aws:sts::123456789012:assumed-role/Operators/{name}" for name in ("ann", "ben", "cid"))


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Electricity]:
    """A version is live; unsure rows have been asked for by request, and others dropped in a file."""
    with live_electricity(tmp_path_factory.mktemp("review"), added=POLICY) as cloud:
        cloud.predict("call", sample(KNOWN, ASKED))
        cloud.drop("scoring/asked", sample(KNOWN + ASKED, ASKED).drop_columns(["class"]))
        yield cloud


def runs(*words: str, typed: str = "") -> str:
    done = CliRunner().invoke(app, [*words], input=typed, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def decided(environment: Environment) -> dict[str, Decision]:
    return {one.id: one for day in find_days(environment, NAMES) for one in day.decisions}


def firsts(environment: Environment) -> int:
    """How many rows wait for the first person who decides them."""
    queue = reviews_of(environment, NAMES).queue
    return queue.count(most=100, now=environment.now(), has_opinions=False)


def truth(decision: Decision) -> int:
    table = pq.read_table(SAMPLE)
    at = table["timestamp"].to_pylist().index(decision.event_time.replace(tzinfo=None))
    return int(table["class"][at].as_py())


def test_every_decision_for_a_person_waits_and_no_other_one(environment: Environment) -> None:
    decisions = decided(environment)
    assert {one.source for one in decisions.values()} == {"api", "batch"}
    wanted = {name for name, one in decisions.items() if one.action == "review"}
    assert {one.id for one in list_waiting(environment, NAMES, limit=100)} == wanted
    assert (count_waiting(environment, NAMES).count, len(decisions)) == (len(wanted), 2 * ASKED)
    assert {(one.source, one.reason) for one in decisions.values()} >= {
        ("api", "unsure"),
        ("batch", "unsure"),
        ("api", "held_out"),
        ("batch", "held_out"),
    }


def test_what_waits_for_long_raises_an_alarm(environment: Environment, cloud: Electricity) -> None:
    (state,) = json.loads(runs("status", "--json"))
    assert state["reviews_waiting"].startswith(f"{count_waiting(environment, NAMES).count}, the oldest for ")
    for hours, expected in ((6, False), (10, True)):
        with sweeping(cloud):
            cloud.go_to(CLOCK + timedelta(hours=hours))
        assert ("late-reviews" in cloud.raised()) is expected
    (state,) = json.loads(runs("status", "--json"))
    assert state["reviews_waiting"].endswith("the oldest for 10 h")


def test_two_people_get_different_items_and_their_answers_become_labels(
    environment: Environment, cloud: Electricity
) -> None:
    people = [replace(Reviewer.of(environment, NAMES, source="terminal"), by=by) for by in (ANN, BEN)]
    with ThreadPoolExecutor(2) as pool:
        held = [one for one in pool.map(lambda person: person.next(), people) if one]
    assert len({one.item.id for one in held}) == 2
    decisions = decided(environment)
    for person, one in zip(people, held, strict=True):
        person.answer(one, truth(decisions[one.item.id]), seconds=7)
    with pytest.raises(ReviewError, match="still yours"):
        people[0].answer(held[0], 0, seconds=1)
    assert not find_labels(environment, NAMES, [*decisions.values()]), "an answer can be taken back for a while"
    assert [person.finish() for person in people] == [1, 1]
    cloud.rest()
    mine, other = (decisions[one.item.id] for one in held)
    labels = find_labels(environment, NAMES, [mine, other])
    assert {name: [label.value for label in found] for name, found in labels.items()} == {
        mine.id: [truth(mine)],
        other.id: [truth(other)],
    }
    assert all("/labels/review/" in label.drop for found in labels.values() for label in found)
    events = [one["event"] for one in json.loads(runs("audit", "list", "--json", "--limit", "2"))]
    assert events == ["review.answered"] * 2
    with pytest.raises(ReviewError, match="drop a corrected label"):
        people[0].undo(mine.id)


def test_why_and_decisions_say_what_the_person_has_decided(environment: Environment) -> None:
    item = next(one for one in find_items(environment, NAMES, [*decided(environment)]).values() if one.answer)
    links = {one["what"]: one for one in json.loads(runs("why", item.id, "--json"))}
    word = WORDS[item.answer.value]
    assert links["review"]["identity"].startswith(f"{word} by assumed-role/Operators/")
    assert (links["label"]["identity"], "labels/review/" in links["label"]["detail"]) == (word, True)
    assert f"answered {in_words(decided(environment)[item.id].output, WORDS)};" in links["decision"]["detail"]
    rows = [json.loads(line) for line in runs("decisions", "--json").splitlines()]
    found = {row["id"]: row.get("person") for row in rows}
    assert found[item.id] == links["review"]["identity"]
    assert all(row["class"] == WORDS.get(row["value"]) for row in rows)
    assert {"waits", ""} <= set(found.values())


def test_a_person_works_in_the_terminal(environment: Environment, cloud: Electricity) -> None:
    waiting = firsts(environment)
    said = runs("review", typed="?\ng\nneither\nup\n0\nu\n1\ns\np a holiday\nq\n")
    assert said.count("wait ·") == 7
    assert "expected one of 0, down, 1, up, got 'neither'" in said
    assert GUIDELINE.text in said
    assert "2 labels dropped" in said
    assert firsts(environment) == waiting - 2
    first = list_waiting(environment, NAMES, limit=1)[0]
    assert (first.priority, first.note) == (0, "a holiday")
    runs("review", "--answer", first.id, "1")
    cloud.rest()
    found = find_labels(environment, NAMES, [decided(environment)[first.id]])[first.id]
    assert [(label.value, label.counts) for label in found] == [(1, True)]


def test_a_share_of_the_rows_is_put_before_a_second_person_whom_the_consumers_do_not_wait_for(
    environment: Environment, cloud: Electricity
) -> None:
    ann, ben, cid = (replace(Reviewer.of(environment, NAMES, source="terminal"), by=by) for by in (ANN, BEN, CID))
    drawn = {name for name, one in decided(environment).items() if is_drawn(f"twice {canonical(one.key)}", TWICE)}
    items = [one for one in list_waiting(environment, NAMES, limit=100) if one.reason != "second_opinion"]
    assert {one.id for one in items if one.is_twice} == {one.id for one in items} & drawn
    asked = [one.id for one in items if one.is_twice][:2]
    truths = {name: truth(decided(environment)[name]) for name in asked}

    def counted() -> list[Any]:
        found = find_labels(environment, NAMES, [decided(environment)[name] for name in asked])
        return [next(one.value for one in found[name] if one.counts) for name in asked]

    for name in asked:
        ann.answer(ann.take(name), 1 - truths[name], seconds=2)
    assert ann.finish() == 2
    cloud.rest()
    assert counted() == [1 - truths[name] for name in asked]
    for name, value in zip(asked, (truths[asked[0]], 1 - truths[asked[1]]), strict=True):
        ben.answer(ben.take(f"+2+{name}"), value, seconds=2)
    with sweeping(cloud):  # asks the third person
        cloud.go_to(CLOCK + timedelta(hours=12))
    cid.answer(cid.take(f"+3+{asked[0]}"), truths[asked[0]], seconds=2)
    assert cid.finish() == 1
    cloud.rest()
    assert counted() == [truths[asked[0]], 1 - truths[asked[1]]]
    (state,) = json.loads(runs("status", "--json"))
    assert state["people_agree"] == (
        f"guideline {GUIDELINE.version}: two people agree on 50% of two rows (9 to 91%), kappa 0.00"
    )
    at = decided(environment)[asked[1]].event_time.replace(tzinfo=None)
    rows = sample(KNOWN, 2 * ASKED).select(["timestamp", "class"])
    cloud.drop("labels/truth", rows.filter(pc.equal(rows["timestamp"], at)))
    own = find_own_answers(environment, NAMES, ANN, limit=2)
    assert {one.item.id: (one.cells["others"], one.cells["label"]) for one in own} == {
        asked[0]: (f"▲ {WORDS[truths[asked[0]]]}, ▲ {WORDS[truths[asked[0]]]}", ""),
        asked[1]: (WORDS[1 - truths[asked[1]]], f"▲ {WORDS[truths[asked[1]]]}"),
    }


def test_what_nobody_answers_in_time_ends_and_is_recorded(environment: Environment, cloud: Electricity) -> None:
    left = [item.id for item in list_waiting(environment, NAMES, limit=100)]
    assert left
    cloud.rest()
    gone = replace(Reviewer.of(environment, NAMES, source="terminal"), by=ANN)
    if held := gone.next():  # and then the terminal is closed
        gone.answer(held, 1, seconds=3)
        left.remove(held.item.id)
    for hours in (61, 120):  # the answer may be one that is asked for twice
        with sweeping(cloud):
            cloud.go_to(CLOCK + timedelta(hours=hours))
    assert count_waiting(environment, NAMES).count == 0
    assert {item.status for item in find_items(environment, NAMES, left).values()} == {"unanswered"}
    events: list[dict[str, Any]] = json.loads(runs("audit", "list", "--json", "--limit", "0"))
    unanswered = {one["details"]["decision"] for one in events if one["event"] == "review.unanswered"}
    assert unanswered >= {name.rpartition("+")[2] for name in left}
    assert held
    assert find_labels(environment, NAMES, [decided(environment)[held.item.id]]), "the sweep has dropped it"
    assert Reviewer.of(environment, NAMES, source="terminal").next() is None
