"""Where rows come in and decisions go out: requests, files, a stream and jobs; consumers, each of which acts once.

A live version answers, and `millrace why` tells of each decision how the row came and who answered."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email.message import Message
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from millrace.console.actions.reviews import Reviewer
from millrace.console.cli.app import app
from millrace.console.environment import local_environment
from millrace.console.local_cloud.local_cloud import PLATFORM
from millrace.console.queries.lineage import trace
from millrace.console.queries.reviews import list_waiting
from millrace.console.words import count
from millrace.consumers.next_workload import chained_id
from millrace.contract.kinds import as_json
from millrace.decisions.portion import ROWS, ConsumerQueues
from millrace.decisions.record import Decision
from millrace.decisions.standing import CACHED_S
from millrace.infra.stacks.serving import TRIES
from millrace.names import WorkloadNames
from millrace.state.automation import Automation
from millrace.state.pointers import ReleasePointers
from millrace.state.table import StateTable
from millrace.workload.load import load_workload
from tests.electricity import CLOCK, KNOWN, NAMES, Electricity, live_electricity, sample
from tests.end_to_end.callers import create_caller, declare_api, keys_of, typed
from tests.end_to_end.conftest import Witness
from tests.end_to_end.test_sweep import sweeping
from tests.infra.stacks.test_operations import RUN_EVENT
from tests.localcloud.waiting import until
from tests.plant import write_plant
from tests.posts import Answer, answering_posts
from tests.receiver import Receiver, listening
from tests.state_table import create_lookup

PARTNER = "111122223333"
SENT = 500
"""Rows that become records."""
DECLARED = """
policy:
  review_above: {{column: nswdemand, bound: 0.36}}
  held_out: 0.1
  review: {{hours: 2}}
stream: {{}}
jobs: {{}}
consumers:
  crm: {{to: webhook, url: "{url}", secret: crm/signing, stages: [local]}}
  reviews: {{to: queue, queue: review-decisions, actions: [review]}}
  lookup: {{to: table, table: decision-lookup}}
  broken: {{to: queue, queue: not-there}}
  later: {{to: queue, queue: of-prod, stages: [prod]}}
  next:
    to: workload
    workload: plant
    row: {{at: row.timestamp, load: answer.value, site: {{constant: nsw}}, kind: {{constant: pump}},
           open: {{constant: true}}}}
"""


WAITING = "consumers: {told: {to: queue, queue: plant-told, actions: [unanswered]}}\n"
"""Of the next workload, who waits for what it makes of the first one's decisions."""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with listening(Receiver("only the two of us know", down_every=10)) as found:
        yield found


@pytest.fixture(scope="module")
def catalogue() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The URL of a catalogue of data, and what it was told."""
    told: list[dict[str, Any]] = []

    def take(_: str, __: Message, body: bytes) -> Answer:
        told.append(json.loads(body))
        return 201, b"", {}

    with answering_posts(take) as port:
        yield f"http://localhost:{port}/api/v1/lineage", told


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver, catalogue: Any) -> Iterator[Electricity]:
    folder = tmp_path_factory.mktemp("ends")
    partner = {"drops": [f"{NAMES.workload}/labels"], "calls": [NAMES.workload]}
    declare_api(folder, api={"private": ["vpce-0a1b2c3d"]}, lineage={"url": catalogue[0]}, partners={PARTNER: partner})
    declared = write_plant(folder / "workloads", "regression").folder / "workload.yaml"
    declared.write_text(f"{declared.read_text()}\n{WAITING}")
    with live_electricity(folder, added=DECLARED.format(url=receiver.url)) as cloud:
        receiver.clock = lambda: cloud.now().timestamp()
        # What the targets' owners have made.
        cloud.client("secretsmanager").create_secret(Name="crm/signing", SecretString=receiver.secret)
        for name in ("review-decisions", "plant-told"):
            cloud.client("sqs").create_queue(QueueName=name)
        create_lookup(cloud.client("dynamodb"), "decision-lookup")
        yield cloud


def rows(count: int, *, first: int = 0) -> list[dict[str, Any]]:
    """Rows behind those that the live version knows."""
    found = sample(KNOWN + first, count).drop_columns(["class"]).to_pylist()
    return [{name: as_json(cell) for name, cell in row.items()} for row in found]


def received(cloud: Electricity, queue: str) -> list[dict[str, Any]]:
    """The documents in a queue of the account's."""
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    found: list[dict[str, Any]] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def test_each_decision_acts_once_where_it_is_wanted(cloud: Electricity, receiver: Receiver) -> None:
    said = [one for call in range(12) for one in cloud.predict(f"call-{call}", sample(KNOWN + 20 * call, 20))]
    assert not (fallback := [one for one in said if one["action"] == "fallback"]), fallback[:2]
    wanted = {action: {one["id"] for one in said if one["action"] == action} for action in ("automated", "review")}
    assert min(map(len, wanted.values())) > 20
    moving = until_only_waits_for(cloud, NAMES.queue("consumer-broken"))
    assert moving, "the broken consumer's decisions wait"
    assert receiver.acted.keys() == wanted["automated"]
    assert receiver.refused == 0
    by_id = {one["id"]: one for one in said}
    kept = {one.id: one for one in cloud.recorded()}
    for name, document in receiver.acted.items():
        assert document["answer"]["value"] == by_id[name]["value"] == kept[name].value
        assert (document["action"], document["model_version"]) == ("automated", by_id[name]["model_version"])
    documents = received(cloud, "review-decisions")
    assert sorted(one["id"] for one in documents) == sorted(wanted["review"]), "the queue is up, so each came once"
    hidden = {one["id"] for one in documents if one["answer"]["value"] is None}
    assert hidden == {one["id"] for one in said if one["reason"] == "held_out"}
    assert hidden


def until_only_waits_for(cloud: Electricity, queue: str) -> list[str]:
    """What still moves, once it is this queue alone; empty if nothing does."""
    while moving := cloud.running():
        if all(queue in line for line in moving):
            return moving
    return []


def test_a_consumer_that_is_down_waits_alone_and_gets_all_when_it_is_back(cloud: Electricity) -> None:
    """Its queue is made only now: nobody has sent anything again by hand."""
    cloud.client("sqs").create_queue(QueueName="not-there")
    cloud.rest()
    automated = {one.id for one in cloud.recorded() if one.action == "automated"}
    assert {one["id"] for one in received(cloud, "not-there")} == automated


def test_what_acts_is_a_row_of_the_next_workload_with_one_id_through_both(cloud: Electricity) -> None:
    """Nobody has trained that one, so its fallback answers."""
    cloud.rest()
    acting = {chained_id(one.id, "electricity"): one for one in cloud.recorded() if one.action == "automated"}
    decided = plant(cloud)
    assert decided.keys() == acting.keys()
    for one in decided.values():
        row, first = json.loads(one.input), acting[one.id]
        assert (one.source, row["load"], row["site"]) == ("workload", first.value, "nsw")
        assert one.event_time == first.event_time
    links = {link.what: link for link in trace(local_environment(cloud), NAMES, first.id)}
    assert links["decision of plant"].identity == one.id


def plant(cloud: Electricity) -> dict[str, Decision]:
    """What the next workload has decided, by its ids."""
    return {one.id: one for one in replace(cloud, names=WorkloadNames(platform=PLATFORM, workload="plant")).recorded()}


def test_in_a_pause_what_people_decide_goes_on_and_the_rest_after_it(cloud: Electricity, receiver: Receiver) -> None:
    """Decided before the pause, and not taken yet."""
    person = Reviewer.of(local_environment(cloud), NAMES, source="terminal")
    asked = person.next()
    assert asked
    acts = next(one for one in cloud.recorded() if one.action == "automated")
    late = [replace(acts, id=f"late-{number}") for number in range(3)]
    Automation(is_paused=True, reason="complaints", by="ann", since=CLOCK).put(cloud.state)
    forget(cloud)
    declared = load_workload(Path(os.environ["MILLRACE_WORKLOADS"]) / "electricity").consumers
    consumers = {name: declared[name] for name in ("crm", "lookup")}
    ConsumerQueues(names=NAMES, consumers=consumers, sqs=cloud.client("sqs")).send(late)
    until(lambda: all(held(cloud, NAMES.queue(f"consumer-{name}")) for name in ("crm", "lookup")))
    person.answer(asked, 1, seconds=4)
    person.finish()
    until(lambda: f"{asked.item.id}.electricity" in plant(cloud) and asked.item.id in looked_up(cloud))
    assert json.loads(plant(cloud)[f"{asked.item.id}.electricity"].input)["load"] == 1
    until(lambda: asked.item.id in receiver.acted)
    assert (receiver.acted[asked.item.id]["action"], receiver.acted[asked.item.id]["answer"]["value"]) == (
        "answered",
        1,
    )
    assert not received(cloud, "review-decisions"), "who takes what waits for a person gets no answer"
    assert not {one.id for one in late} & receiver.acted.keys()
    Automation(by="ann", since=CLOCK).put(cloud.state)
    forget(cloud)
    cloud.rest()
    assert {one.id for one in late} <= receiver.acted.keys() & looked_up(cloud).keys()


def test_who_waits_for_an_answer_hears_that_none_comes_and_why(cloud: Electricity, receiver: Receiver) -> None:
    """The next workload refuses a row, or cannot decide in twenty tries; nobody answers; nobody decides in time."""
    waiting = {item.id for item in list_waiting(local_environment(cloud), NAMES, limit=1000)}
    acts = next(one for one in cloud.recorded() if one.action == "automated")
    nobody = replace(acts, id="nobody", action="fallback", reason="no_model", output=dict.fromkeys(acts.output))
    odd = replace(acts, id="odd", input='{"timestamp": "soon"}')
    next_one = load_workload(Path(os.environ["MILLRACE_WORKLOADS"]) / "electricity").consumers["next"]
    queues = ConsumerQueues(names=NAMES, consumers={"next": next_one}, sqs=cloud.client("sqs"))
    queues.send([odd, nobody])
    cloud.wait(timeout_s=300, retries=False)
    pointers = ReleasePointers(StateTable(cloud.client("dynamodb"), WorkloadNames(platform=PLATFORM, workload="plant")))
    never = pointers.read()
    pointers.move(replace(never, highest=1))  # it was live once, and its endpoint is missing
    queues.send([replace(acts, id="late")])
    for _ in range(TRIES):
        cloud.wait(timeout_s=300, retries=False)
        cloud.move_clock(cloud.now() + timedelta(minutes=61))
    with sweeping(cloud):
        cloud.later(hours=1)
    pointers.move(replace(pointers.read(), highest=never.highest))
    told = {one["id"]: one["reason"] for one in received(cloud, "plant-told")}
    assert waiting
    assert told == {
        **{f"{name}.electricity": "expired" for name in waiting},
        "nobody.electricity": "no_model",
        "odd.electricity": "refused",
        "late.electricity": "undelivered",
    }
    assert {name for name, one in receiver.acted.items() if one["reason"] == "expired"} == waiting


def forget(cloud: Electricity) -> None:
    """What functions have read of the switch is older than that."""
    cloud.move_clock(cloud.now() + timedelta(seconds=CACHED_S + 1))


def held(cloud: Electricity, queue: str) -> bool:
    """Whether a message of the queue has been put off."""
    sqs, late = cloud.client("sqs"), "ApproximateNumberOfMessagesDelayed"
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    return bool(int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[late])["Attributes"][late]))


def looked_up(cloud: Electricity) -> dict[str, Any]:
    pages = cloud.client("dynamodb").get_paginator("scan").paginate(TableName="decision-lookup")
    return {item["id"]["S"]: item for page in pages for item in page["Items"]}


def test_the_rows_of_a_file_act_as_requests_do(cloud: Electricity, receiver: Receiver) -> None:
    """More rows than a message refers to: each message is read by each consumer's own function."""
    known, many = set(receiver.acted), sample(KNOWN, ROWS + 100).drop_columns(["class"])
    cloud.drop("scoring/asked", many)
    found = [one for one in cloud.recorded() if one.source == "batch"]
    assert len(found) == len(many)
    automated = {one.id: one for one in found if one.action == "automated"}
    assert receiver.acted.keys() - known == automated.keys()
    items = looked_up(cloud)
    assert items.keys() == automated.keys() | known
    assert all(items[name]["answer"]["M"]["value"] == {"N": str(one.value)} for name, one in automated.items())
    review = {one.id for one in found if one.action == "review"}
    assert {one["id"] for one in received(cloud, "review-decisions")} == review


def test_a_catalogue_is_told_what_the_predictions_were_made_of(catalogue: Any) -> None:
    """By names that meet, each with the run that made it, from the first file on."""
    made: dict[str, list[str]] = {}
    for one in catalogue[1]:
        Draft202012Validator(RUN_EVENT).validate(one)
        for output in one["outputs"]:
            made[output["name"]] = [each["name"] for each in one["inputs"]]
    chain = ["electricity/predictions"]
    while above := made.get(chain[-1]):
        chain.append(above[-1])
    rows = f"table/{PLATFORM.database}/electricity_rows"
    assert chain[1:] == ["electricity.live", "electricity.model", rows, "electricity/training"]


def kept(cloud: Electricity, source: str) -> dict[str, Decision]:
    """The decisions in the lake that came so, by their ids."""
    cloud.rest()
    return {one.id: one for one in cloud.recorded() if one.source == source}


def check_answered(cloud: Electricity, decisions: dict[str, Any], source: str) -> None:
    """Each is the live version's, and `why` leads from the first to the rows that the version was trained on."""
    assert {(one.source, one.model_version, one.fallback) for one in decisions.values()} == {(source, "1", False)}
    assert all(one.value in (0, 1) and 0.5 <= one.output["confidence"] <= 1 for one in decisions.values())
    name = next(iter(decisions))
    links = {one["what"]: one for one in typed("why", name)}
    assert links["decision"]["identity"] == name
    assert {one["state"] for one in links.values()} <= {"checked", "recorded"}
    assert "/training/known.parquet" in links["drop"]["identity"]


def producer(cloud: Electricity, name: str = "meter") -> Any:
    """A client of Kinesis with a role that may put records into the stream, and nothing else."""
    key = cloud.client("kinesis").describe_stream(StreamName=NAMES.stream)["StreamDescription"]["KeyId"]
    keys = keys_of(cloud, name, **{"kinesis:PutRecords": NAMES.stream_arn, "kms:GenerateDataKey": key})
    return client_with(cloud, "kinesis", keys)


def client_with(cloud: Electricity, service: str, keys: Credentials) -> Any:
    return boto3.client(
        service,
        endpoint_url=cloud.endpoint_url,
        region_name=PLATFORM.region,
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
        aws_session_token=keys.token,
    )


def dead(cloud: Electricity, queue: str) -> list[dict[str, Any]]:
    url = cloud.client("sqs").get_queue_url(QueueName=NAMES.queue(queue))["QueueUrl"]
    asked = {"QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0}
    return [json.loads(one["Body"]) for one in cloud.client("sqs").receive_message(**asked).get("Messages", [])]


def test_every_record_is_decided_once_and_two_bad_ones_hold_up_none(cloud: Electricity, receiver: Receiver) -> None:
    kinesis, wanted = producer(cloud), {}
    records = []
    for number, row in enumerate(rows(SENT)):
        document = row if number % 2 else {"id": f"meter-{number}", "row": row}
        records.append({"Data": json.dumps(document).encode(), "PartitionKey": str(number % 7)})
    loud = rows(1)[0] | {"nswprice": 7}
    records.insert(100, {"Data": json.dumps({"id": "loud", "row": loud}).encode(), "PartitionKey": "1"})
    records.insert(300, {"Data": b"{not json", "PartitionKey": "2"})
    for first in range(0, len(records), 250):
        part = records[first : first + 250]
        answer = kinesis.put_records(StreamName=NAMES.stream, Records=part)["Records"]
        for record, put in zip(part, answer, strict=True):
            if b"loud" in record["Data"] or b"{not" in record["Data"]:
                continue
            document = json.loads(bytes(record["Data"]))
            place = f"{int(put['ShardId'].removeprefix('shardId-'))}-{put['SequenceNumber']}"
            wanted[f"{document['id']}-stream" if "id" in document else place] = document.get("row", document)
    found = kept(cloud, "stream")
    assert found.keys() == wanted.keys()
    assert len(found) == SENT
    assert {name: json.loads(one.input) for name, one in found.items()} == wanted
    check_answered(cloud, found, "stream")
    letters = sorted((one["reason"], one["column"], one["expected"], one["came"]) for one in dead(cloud, "rows-dead"))
    assert letters[1] == ("range", "nswprice", "<= 1", "7")
    assert letters[0][:2] == ("json", "")
    assert receiver.acted["loud-stream"]["because"] == "nswprice: expected <= 1, got 7"
    assert len(letters) == 2
    with pytest.raises(kinesis.exceptions.ClientError, match="not authorized"):
        kinesis.describe_stream(StreamName=NAMES.stream)


JOBS, PREDICTIONS = (f"/{NAMES.workload}/{one}" for one in ("jobs", "predictions"))


def test_a_job_is_accepted_once_done_later_and_seen_by_its_caller_alone(cloud: Electricity) -> None:
    witness = Witness(cloud=cloud)
    witness.stand_up()
    shop, stranger = (create_caller(cloud, NAMES, role) for role in ("shop", "stranger"))
    asked, key = {"rows": [*rows(2, first=600), {"period": "early"}]}, {"Idempotency-Key": "order-7"}
    status, _, said = shop.send("POST", JOBS, asked, **key)
    assert (status, said["status"]) == (202, "waiting"), said
    assert shop.send("POST", JOBS, asked, **key)[2]["id"] == said["id"], "a repeated request is the same job"
    assert shop.send("POST", JOBS, {"rows": rows(1)}, **key)[0] == 422
    assert shop.send("POST", JOBS, {"rows": []})[0] == 400
    place = f"{JOBS}/{said['id']}"
    until(lambda: shop.send("GET", place)[2]["status"] == "done")
    job = shop.send("GET", place)[2]
    ids = [one["id"] for one in job["result"]["predictions"]]
    assert ids == [f"{said['id']}-0", f"{said['id']}-1"]
    assert [one["row"] for one in job["result"]["rejected"]] == [2]
    for other in (stranger.send("GET", place), shop.send("GET", f"{JOBS}/not-there")):
        assert (other[0], other[2]["error"]) == (404, "no job")
    found = {name: one for name, one in kept(cloud, "async").items() if name in ids}
    check_answered(cloud, found, "async")
    assert len(found) == 2
    assert all(":assumed-role/shop/" in str(one.caller) for one in found.values())
    (told,) = {event["detail"]["uri"] for event in witness.told("job.done")}
    assert said["id"] in told
    place = f"/{NAMES.workload}/decisions/{ids[0]}"
    days = f"?from={found[ids[0]].event_time.date()}&to={found[ids[0]].event_time.date()}"
    status, _, decision = shop.send("GET", place + days)
    assert (status, decision["id"], decision["source"]) == (200, ids[0], "async"), decision
    other = stranger.send("GET", place + days)
    assert (other[0], other[2]["error"]) == (404, "no decision")
    # The same key of a request is another one's: it is answered at once.
    direct = shop.send("POST", PREDICTIONS, asked, **key)
    assert (direct[0], len(direct[2]["predictions"])) == (200, 2)


def test_a_private_api_decides_for_who_comes_by_its_endpoint_and_for_nobody_else(cloud: Electricity) -> None:
    inside, asked = create_caller(cloud, NAMES, "inside"), {"rows": rows(1, first=890)}
    public, aside = (replace(inside, url=inside.url.replace("-vpce-0a1b2c3d", one)) for one in ("", "-vpce-0b2c3d4e"))
    (status, _, said), *refused = (one.send("POST", PREDICTIONS, asked) for one in (inside, public, aside))
    denied = [(code, "explicit deny in a resource-based policy" in str(why)) for code, _, why in refused]
    assert denied == 2 * [(403, True)]
    assert status == 200, said
    (decided,) = (one for one in kept(cloud, "api").values() if ":assumed-role/inside/" in str(one.caller))
    assert (decided.id, decided.model_version) == (said["predictions"][0]["id"], "1")
    with pytest.raises(ClientError, match="ResourceNotFound"):
        cloud.client("lambda").get_function_url_config(FunctionName=NAMES.function("prediction"), Qualifier="live")


def test_rows_and_labels_that_callers_bring_are_drops_by_their_name(cloud: Electricity) -> None:
    keeper, found = create_caller(cloud, NAMES, "keeper"), sample(KNOWN + 900, 4).to_pylist()
    brought = [{name: as_json(cell) for name, cell in row.items()} for row in found]
    rows, labels = [*brought[:2], brought[2] | {"nswprice": 7}], [{"timestamp": None}, *brought[2:]]
    for feed, table, own in (("training", "rows", rows), ("labels", "labels", labels)):
        own = [{name: row[name] for name in row if feed == "training" or name in ("timestamp", "class")} for row in own]
        for _ in "ab":  # a repeated call is the same drop
            status, _, said = keeper.send("POST", f"/{NAMES.workload}/{feed}", {"rows": own, "id": "day-1"})
            assert (status, said["rows"]) == (202, 3)
            cloud.rest()
        (one,) = (one for one in typed("data", "log") if one["what"] == said["drop"])
        assert (one["version"].split("-")[0], one["added"], one["refused"]) == (table, 2, 1)
        assert ":assumed-role/keeper/" in one["by"]


def test_roles_of_another_account_may_here_what_the_stage_says_whatever_their_own_policies_say(
    cloud: Electricity,
) -> None:
    found = sample(KNOWN + 910, 2).select(["timestamp", "class"]).to_pylist()
    labels = "".join(f"{json.dumps({name: as_json(cell) for name, cell in row.items()})}\n" for row in found).encode()
    keys = keys_of(cloud, "producer", PARTNER, **{"s3:*": "*", "kms:*": "*"})
    s3, bucket = client_with(cloud, "s3", keys), PLATFORM.bucket("landing")
    own = f"{NAMES.workload}/labels/{PARTNER}/late.jsonl"
    s3.put_object(Bucket=bucket, Key=own, Body=labels)
    upload = s3.create_multipart_upload(Bucket=bucket, Key=own.replace("late", "later"))["UploadId"]
    s3.abort_multipart_upload(Bucket=bucket, Key=own.replace("late", "later"), UploadId=upload)
    cloud.rest()
    (one,) = (one for one in typed("data", "log") if one["what"].endswith("/late.jsonl"))
    assert (one["version"].split("-")[0], one["added"], one["refused"]) == ("labels", 2, 0)
    for other in (
        own.replace(f"{PARTNER}/", ""),
        own.replace("labels", "training"),
        own.replace(NAMES.workload, "plant"),
    ):
        with pytest.raises(ClientError, match="no resource-based policy allows"):
            s3.put_object(Bucket=bucket, Key=other, Body=labels)
    with pytest.raises(ClientError, match="no resource-based policy allows"):
        s3.get_object(Bucket=bucket, Key=own)

    theirs, ours = (create_caller(cloud, NAMES, "of-both", account) for account in (PARTNER, PLATFORM.account))
    status, _, said = theirs.send("POST", PREDICTIONS, {"rows": (asked := rows(1, first=905))})
    assert status == 200, said
    cloud.rest()
    day = asked[0]["timestamp"][:10]
    place = f"/{NAMES.workload}/decisions/{said['predictions'][0]['id']}?from={day}&to={day}"
    assert [one.send("GET", place)[0] for one in (theirs, ours)] == [200, 404], "a role of that name here is another"
    other = create_caller(cloud, replace(NAMES, workload="plant"), "other-shop", PARTNER)
    assert other.send("POST", "/plant/predictions", {"rows": []})[0] == 403


def test_records_that_were_given_up_go_back_into_the_stream(cloud: Electricity) -> None:
    """The function is switched off for longer than a record may wait."""
    functions, kinesis = cloud.client("lambda"), producer(cloud, "late-meter")
    (mapping,) = functions.list_event_source_mappings(FunctionName=NAMES.function("stream"))["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    documents = [{"id": f"late-{number}", "row": row} for number, row in enumerate(rows(3, first=SENT))]
    records = [{"Data": json.dumps(one).encode(), "PartitionKey": "1"} for one in documents]
    kinesis.put_records(StreamName=NAMES.stream, Records=records)
    cloud.move_clock(cloud.now() + timedelta(hours=13))
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
    assert not {f"late-{number}-stream" for number in range(3)} & kept(cloud, "stream").keys()
    letters = [one["detail"]["object"]["key"] for one in dead(cloud, "rows-dead") if "detail" in one]
    assert letters
    assert all(one.startswith(f"aws/lambda/{mapping['UUID']}/shardId-") for one in letters)

    told = CliRunner().invoke(app, ["dead", "rows", "--redrive"], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    assert told.stdout == f"rows: {count(len(letters), 'message')} on the way back\n"
    found = kept(cloud, "stream")
    assert [json.loads(found[f"{one['id']}-stream"].input) for one in documents] == [one["row"] for one in documents]
    left = dead(cloud, "rows-dead")
    assert left
    assert all("reason" in one for one in left), "what is no row stays"
