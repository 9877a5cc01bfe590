"""The guard: driven by a real alarm event, with the labels' table as Iceberg leaves it in Glue."""

import hashlib
import json
import sys
from dataclasses import replace
from datetime import UTC, timedelta
from uuid import uuid4

import pytest
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import new_table_metadata
from pyiceberg.table.sorting import SortOrder

from millrace.contract.load import load_contract
from millrace.datasets import iceberg
from millrace.datasets.journal import JOURNAL, JournalEntry, render
from millrace.datasets.notes import LABELLED_BEFORE, ORIGIN, REPLACED, UNLABELLED, WITHDRAWN_DROP
from millrace.datasets.tables import Lake
from millrace.messages.monitor import FloorDay
from millrace.state.pointers import Pointers
from millrace.state.retraining import LastRetraining
from millrace.state.versions import ChangeStarts, FloorState
from millrace.timestamps import parse_utc
from millrace.workload.load import workloads_folder
from millrace.workload.policy import Floor, Policy
from tests.builders import version
from tests.millrace.datasets.test_decision_rows import SAMPLE, label


@pytest.fixture
def ready(aws):
    """A champion is live and 7,200 labels have come."""
    aws.pointers.move(Pointers(champion=version("1")))
    aws.glue.create_database(DatabaseInput={"Name": aws.names.platform.database})
    labels(aws, 7200)


@pytest.fixture
def dropped(aws, ready, load):
    """The guard of a workload; of 300 rows 100 were dropped after the last retraining's snapshot, whose model was
    refused, and 100 before it, after the champion's. Ten of each hundred came without their label."""
    summary = {"added-records": "100", UNLABELLED: "10"}
    rows(aws, *(summary | {ORIGIN: f"s3://landing/{key(number)}"} for number in (1, 2, 3)))
    return load("guard")


def key(number):
    return f"electricity/training/{number}.csv"


def rows(aws, *summaries):
    """The table of rows has these snapshots, from number 1; the first two were trained on."""
    put_table(aws, "rows", summaries, refs={"r": 1, f"{hashlib.sha1(b'before').hexdigest()}-0-0": 2})


def lake_of(aws):
    iceberg.s3_client.cache_clear()
    return Lake(aws.names, load_contract(workloads_folder() / "electricity"))


def put_table(aws, name, summaries, *, refs=None, first=1, expired=()):
    """The table has a snapshot for each summary, numbered from `first`; the `expired` ones are in its journal."""
    folder = aws.names.lake_uri("iceberg", aws.names.table(name))
    uri = f"{folder}metadata/{uuid4()}"
    found = [
        {"snapshot-id": place, "sequence-number": place + 1, "timestamp-ms": 0, "manifest-list": uri, "summary": one}
        for place, one in enumerate(summaries, start=first)
    ]
    aws.put(f"{uri}-journal", render(JournalEntry.parse(one) for one in found if one["snapshot-id"] in expired))
    bare = new_table_metadata(Schema(), PartitionSpec(), SortOrder(), folder, {JOURNAL: f"{uri}-journal"})
    document = json.loads(bare.model_dump_json()) | {
        "snapshots": [
            one | {"summary": {"operation": "append", **one["summary"]}}
            for one in found
            if one["snapshot-id"] not in expired
        ],
        "current-snapshot-id": found[-1]["snapshot-id"],
        "last-sequence-number": len(found) + first,
        "refs": {run: {"snapshot-id": place, "type": "tag"} for run, place in (refs or {}).items()},
    }
    aws.put(uri, json.dumps(document))
    iceberg.s3_client.cache_clear()
    table = {"Name": aws.names.table(name), "Parameters": {"table_type": "ICEBERG", "metadata_location": uri}}
    table["StorageDescriptor"] = {"Location": folder}
    try:
        aws.glue.create_table(DatabaseName=aws.names.platform.database, TableInput=table)
    except aws.glue.exceptions.AlreadyExistsException:
        aws.glue.update_table(DatabaseName=aws.names.platform.database, TableInput=table)


@pytest.fixture
def ahead(dropped):
    """The same where labels lie ahead."""
    room = sys.modules["millrace.functions.guard.handler"].ROOM
    prediction = room.workload.prediction.model_copy(update={"horizon_hours": 24})
    room.workload = room.workload.model_copy(update={"prediction": prediction})
    return dropped


def test_rows_that_the_last_retraining_read_are_not_new_though_its_model_was_refused(aws, ahead, event):
    before = parse_utc("1997-04-01T00:00:00Z")
    assert ahead(event("guard") | {"execution": "arn:x:1"})["evidence"]["new_labels"] == 7200 + 200
    LastRetraining.record(
        aws.state, execution_arn=f"{aws.names.execution_arn('retrain', 'before')}", as_of=before, labels_total=7200
    )
    assert ahead(event("guard") | {"execution": "arn:x:2"})["evidence"]["new_labels"] == 100


def test_a_later_version_of_a_drop_brings_the_rows_that_it_has_more(aws, dropped, event):
    """Its other rows have another label at most: of a drop that was trained on, and of one that was not."""
    came = [{"added-records": "100", ORIGIN: f"s3://landing/{key(number)}"} for number in (1, 2, 3)]
    rows(aws, *came, *(came[0] | {REPLACED: key(1)}, came[2] | {REPLACED: key(3), "added-records": "130"}))
    assert dropped(event("guard"))["evidence"]["new_labels"] == 7200 + 100 + 130


def test_a_label_of_a_key_that_had_one_is_no_new_label(aws, ready, load, event):
    """When its drop has left, nothing is taken off for it any more."""
    guard, key = load("guard"), "electricity/labels/flip.csv"

    def counted(*more):
        labels(aws, 600, *more)
        return guard(event("guard"))["evidence"]["new_labels"]

    unlike = {"total-records": "1200", ORIGIN: f"s3://landing/{key}?versionId=1"}
    flipped = unlike | {LABELLED_BEFORE: "600"}
    assert (counted(), counted(unlike), counted(flipped)) == (600, 1200, 600)
    assert counted(flipped, {"total-records": "600", WITHDRAWN_DROP: key}) == 600
    assert counted(flipped, unlike | {"total-records": "700", REPLACED: key}) == 700


def labels(aws, number, *more):
    """The table of labels has so many rows, or those of the last of `more`, which are summaries of snapshots."""
    put_table(aws, "labels", [{"total-records": "1"}, {"total-records": str(number)}, *more])


def test_an_alarm_is_accepted_once_and_held_by_its_execution(aws, ready, load, event):
    handler = load("guard")
    answer = handler(event("guard"))
    assert (answer["accepted"], answer["trigger"], answer["evidence"]["new_labels"]) == (True, "alarm", 7200)
    assert aws.leases.find("retrain").holder == event("guard")["execution"]
    assert handler(event("guard"))["accepted"]
    assert LastRetraining.read(aws.state).runs_in("1997-06") == 1
    assert {record["event"] for record in aws.audit()} == {"retrain.accepted"}


OTHER = "arn:aws:states:eu-west-1:123456789012:execution:x:other"


@pytest.mark.parametrize(
    ("freed", "reason"), [("never", "running"), ("after our write", "running"), ("before our write", "cool_down")]
)
def test_one_overtaken_between_the_reading_and_the_lease_is_refused(aws, ready, load, event, freed, reason):
    """The other's run may even have ended by then: neither its lease nor its cool-down is passed over."""
    handler = load("guard")
    events = sys.modules["millrace.functions.guard.handler"].ROOM.dynamodb.meta.events
    as_of = parse_utc("1997-06-01T06:01:00Z")

    def overtake(**_):
        events.unregister("before-call.dynamodb.PutItem", overtake)
        assert aws.leases.take("retrain", holder=OTHER, as_of=as_of, expires_at=as_of + timedelta(hours=9))
        LastRetraining.record(aws.state, execution_arn=OTHER, as_of=as_of, labels_total=7200)
        if freed == "before our write":
            aws.leases.free(OTHER)

    def end(**_):
        if freed == "after our write":
            aws.leases.free(OTHER)

    events.register("before-call.dynamodb.PutItem", overtake)
    events.register("needs-retry.dynamodb.PutItem", end)
    answer = handler(event("guard"))
    assert (answer["accepted"], answer["reason"]) == (False, reason)
    assert LastRetraining.read(aws.state).execution_arn == OTHER
    (refused,) = aws.audit()
    assert refused["details"]["evidence"] == answer["evidence"]


@pytest.fixture
def drifted(aws, ready, load):
    """The guard of a workload with a floor. Windows of version 1 are above the bound of their input since SINCE, the
    time of the 61st of its hundred labels."""
    guard, table = load("guard"), {"DatabaseName": aws.names.platform.database, "Name": aws.names.table("labels")}
    declare(minimum_drifted_labels=None)
    aws.glue.delete_table(**table)
    label(lake_of(aws), 0, 100)
    ChangeStarts(version="1", since={"input-drift": SINCE}, as_of=SINCE).put(aws.state)
    return guard


SINCE = SAMPLE["timestamp"][60].as_py().replace(tzinfo=UTC)


def declare(**changes):
    """The guard's workload declares these of its retraining, and a floor of 96 labels."""
    module = sys.modules["millrace.functions.guard.handler"]
    retraining = module.ROOM.workload.retraining.model_copy(update=changes)
    update = {"retraining": retraining, "policy": Policy(floor=Floor(labels=96))}
    module.ROOM.workload = module.ROOM.workload.model_copy(update=update)


def test_labels_of_the_drifted_period_are_weighed(drifted, event):
    """And an alarm of other windows is not held by them."""
    answer = drifted(event("guard"))
    evidence = answer["evidence"]
    assert (answer["accepted"], answer["reason"]) == (False, "drifted_labels")
    assert parse_utc(evidence["drifted_since"]) == SINCE
    assert (evidence["new_labels"], evidence["drifted_labels"], evidence["labels_wanted"]) == (100, 40, 1304)
    other = drifted(event("guard", detail={"workload": "electricity", "alarms": ["millrace-local-electricity-error"]}))
    assert (other["reason"], other["evidence"]["drifted_since"]) == ("new_labels", None)
    schedule = drifted(event("guard", detail={"workload": "electricity", "schedule": "retrain"}))
    assert schedule["reason"] == "drifted_labels"
    command = drifted(event("guard", detail={}))
    assert (command["accepted"], command["evidence"]["drifted_since"]) == (True, None)


@pytest.mark.parametrize(
    ("declared", "decided", "waits"), [("floor", 0, True), ("floor", 96, False), ("keep", 0, False)]
)
def test_after_an_alarm_without_labels_the_rule_answers_if_declared(declared, decided, waits, aws, drifted, event):
    """Unless labels of that time have decided already."""
    declare(minimum_drifted_labels=None, without_labels=declared)
    pointers = aws.pointers.read()
    aws.pointers.move(replace(pointers, champion=replace(pointers.champion, rule_answer='{"value": 1}')))
    before = SINCE - timedelta(days=9)
    days = tuple(
        FloorDay(day=f"{at:%Y-%m-%d}", labels=number, own=9, rule=8) for at, number in ((before, 900), (SINCE, decided))
    )
    known = FloorState(version="1", below=False, since=before, as_of=before, days=days)
    known.put(aws.state)
    schedule = drifted(event("guard", detail={"workload": "electricity", "schedule": "retrain"}))
    assert (schedule["reason"], FloorState.find(aws.state, "1")) == ("drifted_labels", known)
    drifted(event("guard"))
    drifted(event("guard"))
    at = parse_utc(event("guard")["state"]["as_of"])
    put = FloorState(version="1", below=True, since=at, as_of=at, days=days, awaits_labels=True)
    assert FloorState.find(aws.state, "1") == (put if waits else known)
    assert [one["event"] for one in aws.audit()].count("floor.on") == waits
