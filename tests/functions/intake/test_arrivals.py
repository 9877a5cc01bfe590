"""Which drops go together, and that the state of their execution has room for what is said of each."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from millrace.contract.csv_form import MOST_OWNER
from millrace.contract.reasons import Reason
from millrace.contract.rules.catalogue import RULES
from millrace.functions.intake.arrivals import (
    GROUP_BYTES,
    LONGEST_KEY,
    SMALL_BYTES,
    Arrival,
    arrival_of,
    groups,
    start_of,
)
from millrace.messages.ingest import (
    MOST_TOGETHER,
    Committed,
    CommittedDrops,
    DropGroup,
    Ingested,
    ParsedDrop,
    RejectedDrop,
    cut,
)
from millrace.state.claims import Claims
from millrace.state.table import StateTable
from tests.functions.cold_start import NAMES
from tests.functions.conftest import Aws
from tests.functions.intake.test_intake import Sent, drops_in, records_of, running, slots, states, wide

EVENT = json.loads(json.loads(Path("events/intake.json").read_text())["Records"][0]["body"])
MOST_BYTES = 256 * 1024
"""Of a state's input and output. https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""
WORDS = "\u00e9" * 500
"""A long reason, of letters that take six bytes in JSON."""
OTHER_KEY = "\x01" * 1000
"""Of another object with the same bytes, as long as S3 lets it be in JSON."""
EVENT_BYTES = 1200
"""Of what is kept of one event that was put, with the metadata of the call."""
UNPARSABLE = (Reason.ENCODING, Reason.COLUMNS, Reason.QUOTE, Reason.JSON, Reason.UNKNOWN_FIELD, Reason.TYPE)
JUDGED = (*(rule.reason for rule in RULES), Reason.COMPARISON, Reason.DUPLICATE_KEY)
"""What a row can be refused for by ingestion, and by validation."""
AT = datetime(1997, 1, 1, tzinfo=UTC)


def arrival(name: str, *, feed: str = "training", size: int = 1000, has_images: bool = False) -> Arrival:
    item = EVENT["detail"]["object"] | {"key": f"electricity/{feed}/{name}", "size": size}
    return arrival_of(json.dumps(EVENT | {"detail": EVENT["detail"] | {"object": item}}), NAMES, has_images=has_images)


def test_feeds_large_drops_and_long_keys_are_apart() -> None:
    small, large = arrival("a"), arrival("b", size=SMALL_BYTES + 1)
    unknown, long = arrival("c", size=0), arrival("d" * (LONGEST_KEY - len("electricity/training/") + 1))
    labels, last = arrival("e", feed="labels"), arrival("f", size=SMALL_BYTES)
    found = list(groups([small, large, unknown, long, labels, last]))
    assert sorted(found, key=len) == [[large], [unknown], [long], [labels], [small, last]]


def test_drops_of_images_are_alone() -> None:
    """A manifest of 1 MiB may name gigabytes of objects."""
    rows = [arrival(name, has_images=True) for name in "ab"]
    labels = [arrival(name, feed="labels", has_images=True) for name in "cd"]
    assert list(groups([*rows, *labels])) == [[rows[0]], [rows[1]], labels]
    assert [start_of(group, NAMES).pool for group in groups([*rows, *labels])] == [
        "ingest-training", "ingest-training", "ingest-labels-together"
    ]  # fmt: skip


@pytest.mark.parametrize("ids", [("", ""), ("a", ""), ("a", "a")])
def test_several_objects_by_hand_need_ids_of_their_own(ids: tuple[str, ...]) -> None:
    objects = [{"key": f"electricity/training/{at}.csv", "drop_id": each} for at, each in enumerate(ids)]
    with pytest.raises(ValidationError, match="a drop_id of its own for each of several"):
        DropGroup.model_validate({"feed": "training", "objects": objects})
    assert DropGroup.model_validate({"feed": "training", "objects": [objects[0]]})


def test_a_group_has_its_bounds() -> None:
    many = [arrival(str(number)) for number in range(2 * MOST_TOGETHER + 1)]
    assert [len(group) for group in groups(many)] == [MOST_TOGETHER, MOST_TOGETHER, 1]
    heavy = [replace(one, size=SMALL_BYTES) for one in many[:20]]
    assert [len(group) for group in groups(heavy)] == [GROUP_BYTES // SMALL_BYTES, 4]
    assert list(groups([])) == []


LETTERS = {"ascii": "a", "accents": "\u00e9", "control": "\x01", "pictures": "\U0001f600"}


@pytest.mark.parametrize("letter", LETTERS.values(), ids=LETTERS)
@pytest.mark.parametrize("length", [10, 13, 29, 60, 150, 177, 200, 240, 480])
def test_the_largest_group_fits_into_the_state_of_its_execution(letter: str, length: int) -> None:
    arrivals = [arrival(f"{number:02}{letter * length}") for number in range(2 * MOST_TOGETHER)]
    found = list(groups(arrivals))
    assert sorted(one.drop_id for group in found for one in group) == sorted(one.drop_id for one in arrivals)
    for group in found:
        check_size(group)


def test_names_of_ascii_go_together_up_to_their_bound() -> None:
    longest = LONGEST_KEY - len("electricity/training/")
    for letter, most in (("a", longest), ("\u00e9", longest // 6), ("\U0001f600", longest // 12)):
        pair = [arrival(letter * (most - 1) + "a"), arrival(letter * (most - 1) + "b")]
        assert len(list(groups(pair))) == 1
        assert len(list(groups([arrival(letter * most + "ab" * 6), arrival(letter * most + "ac" * 6)]))) == 2


def check_size(group: list[Arrival]) -> None:
    """The execution's state with the longest answers is within its bound."""
    given = json.loads(start_of(group, NAMES).input)
    named = [(one.drop_id, f"s3://{NAMES.platform.bucket('landing')}/{one.object['key']}?versionId={'v' * 32}")
             for one in group]  # fmt: skip
    refused = [
        RejectedDrop(drop_id=drop_id, feed="training", source=source, source_digest="d" * 64, reason=Reason.COLUMNS,
                     expected=cut(WORDS), got=cut(WORDS), owner=WORDS[:MOST_OWNER])
        for drop_id, source in named
    ]  # fmt: skip
    assert size(given, Ingested(outcome="rejected", rejected=tuple(refused))) < MOST_BYTES
    parsed = [
        ParsedDrop(drop_id=drop_id, as_of=AT, source=source, source_key=source, source_digest="d" * 64,
                   sequencer="0" * 18, rows=10**6, unparsable=10**6, reasons=dict.fromkeys(UNPARSABLE, 10**6))
        for drop_id, source in named
    ]  # fmt: skip
    committed = [
        Committed(drop_id=drop_id, feed="training", table="electricity_rows", snapshot_id="1" * 19, rows_accepted=10**6,
                  rows_quarantined=10**6, reasons=dict.fromkeys(UNPARSABLE + JUDGED, 10**6), rows_total=10**9,
                  source=source, source_digest="d" * 64, duplicate=True,
                  duplicate_of=f"s3://{NAMES.platform.bucket('landing')}/{OTHER_KEY}?versionId={'v' * 32}",
                  has_champion=True, owner=WORDS[:MOST_OWNER])
        for drop_id, source in named
    ]  # fmt: skip
    answers = Ingested(outcome="parsed", parsed=tuple(parsed)), CommittedDrops(drops=tuple(committed))
    assert size(given, *answers) + EVENT_BYTES * len(group) < MOST_BYTES


def size(given: object, *answers: Ingested | CommittedDrops) -> int:
    """Bytes of the state with the input and these answers."""
    return len(json.dumps([given, *(answer.model_dump(mode="json") for answer in answers)]))


__all__ = ["states", "wide"]


def failed(event: Any, run_name: str, *, machine: str = "ingest", status: str = "FAILED") -> dict[str, Any]:
    """The queue's message of the end of an execution."""
    told = event("failed_run")
    told["detail"] |= {
        "name": run_name,
        "executionArn": NAMES.execution_arn(machine, run_name),
        "stateMachineArn": NAMES.machine_arn(machine),
        "status": status,
    }
    return {"Records": [event("intake")["Records"][0] | {"body": json.dumps(told)}]}


def end(states: Any, aws: Aws, name: str) -> None:
    """The execution ends, and `cleanup` frees its slot."""
    arn = NAMES.execution_arn("ingest", name)
    states.stop_execution(executionArn=arn)
    aws.slots.free(arn)


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT"])
def test_each_drop_of_a_failed_group_gets_a_run_of_its_own(
    status: str, states: Any, wide: Any, event: Any, aws: Aws
) -> None:
    wide({"Records": records_of(event, "a", "b", "c")})
    (group,) = running(states)
    end(states, aws, group)
    for _ in range(2):  # the event may come twice
        assert wide(failed(event, group, status=status)) == {"batchItemFailures": []}
    assert drops_in(states) == [["a"], ["a", "b", "c"], ["b"], ["c"]]
    alone = sorted(set(running(states)) - {group})
    assert slots(aws) == [NAMES.execution_arn("ingest", name) for name in alone]
    claims = Claims(StateTable(aws.dynamodb, NAMES))
    assert [claims.execution_of(name) for name in alone] == alone, "each is found by its drop's id"
    for name in alone:
        found = claims.find(name)
        given = states.describe_execution(executionArn=NAMES.execution_arn("ingest", name))["input"]
        assert found
        assert found.input == given


def test_a_drop_that_comes_again_stays_in_its_own_run(states: Any, wide: Any, event: Any, aws: Aws) -> None:
    records = records_of(event, "a", "b")
    wide({"Records": records})
    (group,) = running(states)
    end(states, aws, group)
    wide(failed(event, group))
    before = sorted(running(states))
    assert wide({"Records": records}) == wide({"Records": records[:1]}) == {"batchItemFailures": []}
    assert sorted(running(states)) == before
    assert len(slots(aws)) == 2, "of the two that run"


def test_the_failure_of_one_drop_is_its_own(states: Any, wide: Any, event: Any, aws: Aws) -> None:
    wide({"Records": records_of(event, "a")})
    (name,) = running(states)
    end(states, aws, name)
    for told in (failed(event, name), failed(event, "by hand"), failed(event, name, machine="score")):
        assert wide(told) == {"batchItemFailures": []}
    assert (running(states), slots(aws)) == ([name], [])


def test_without_slots_for_all_the_rest_waits(
    states: Any, load: Any, event: Any, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = load("intake")  # two slots
    handler({"Records": records_of(event, "a", "b", "c")})
    (group,) = running(states)
    end(states, aws, group)
    monkeypatch.setattr(sys.modules["millrace.functions.intake.handler"], "SQS", sent := Sent())
    told = failed(event, group)
    assert handler(told) == {"batchItemFailures": []}
    assert drops_in(states) == [["a"], ["a", "b", "c"], ["b"]]
    assert [message["MessageBody"] for message in sent.messages] == [told["Records"][0]["body"]]
    for name in {*running(states)} - {group}:
        end(states, aws, name)
    handler(told)
    assert drops_in(states) == [["a"], ["a", "b", "c"], ["b"], ["c"]]
    assert len(slots(aws)) == 1
