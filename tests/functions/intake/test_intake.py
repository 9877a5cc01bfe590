"""Events about objects, as they come twice, in another wording, from elsewhere or when all slots are taken."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from millrace.errors import NoDropError
from millrace.functions.intake.arrivals import arrival_of, events_in
from millrace.messages.ingest import MOST_TOGETHER, SMALL_BYTES
from millrace.state.pointers import Pointers
from tests.builders import version
from tests.functions.cold_start import NAMES, Handler
from tests.functions.conftest import Aws

POOL = "ingest-training-together"


@pytest.fixture
def states(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Any:
    for variable, queue in (("QUEUE_URL", "drops"), ("DEAD_QUEUE_URL", "drops-dead")):
        monkeypatch.setenv(f"MILLRACE_{variable}", aws.sqs.create_queue(QueueName=NAMES.queue(queue))["QueueUrl"])
    monkeypatch.setenv("MILLRACE_SLOTS", "2")
    monkeypatch.setenv("MILLRACE_SLOTS_TOGETHER", "2")
    return aws.machines("ingest", "score")


@pytest.fixture
def wide(states: Any, load: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The handler with more slots than a test takes."""
    monkeypatch.setenv("MILLRACE_SLOTS", "10")
    monkeypatch.setenv("MILLRACE_SLOTS_TOGETHER", "10")
    return load("intake")


def changed(event: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The queue's event with fields of S3's event replaced; `key` and `version` are the object's."""
    body = json.loads(event["Records"][0]["body"])
    item = body["detail"]["object"]
    item["key"], item["version-id"] = changes.pop("key", item["key"]), changes.pop("version", item["version-id"])
    item["size"] = changes.pop("size", item["size"])
    body |= changes
    return {"Records": [event["Records"][0] | {"body": json.dumps(body)}]}


def running(states: Any, machine: str = "ingest") -> list[str]:
    return [run["name"] for run in states.list_executions(stateMachineArn=NAMES.machine_arn(machine))["executions"]]


def dead_letter() -> Any:
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=NAMES.queue("drops-dead"))["QueueUrl"]
    (message,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    return message


def test_small_files_in_the_folder_of_a_list_come_with_it_alone(states: Any, load: Any, event: Any) -> None:
    sizes = {"/small": SMALL_BYTES, "/large": SMALL_BYTES + 1, ".json": 99}
    keys = {f"electricity/training/market/a.files{ending}": size for ending, size in sizes.items()}
    events = [changed(event("intake"), key=key, size=size)["Records"][0] for key, size in keys.items()]
    assert load("intake")({"Records": events}) == {"batchItemFailures": []}
    arns = [NAMES.execution_arn("ingest", name) for name in running(states)]
    given = [json.loads(states.describe_execution(executionArn=arn)["input"])["detail"]["objects"] for arn in arns]
    assert sorted([one["key"] for one in objects] for objects in given) == [[key] for key in sorted([*keys][1:])]


def test_another_event_about_the_same_version_is_a_quiet_duplicate(
    states: Any, load: Any, event: Any, aws: Aws
) -> None:
    handler = load("intake")
    handler(event("intake"))
    assert handler(changed(event("intake"), id="other", time="1997-01-01T00:00:09Z")) == {"batchItemFailures": []}
    (name,) = running(states)
    arn = NAMES.execution_arn("ingest", name)
    assert slots(aws) == [arn], "it runs: its slot stays"
    states.stop_execution(executionArn=arn)
    aws.slots.free(arn)
    assert handler(changed(event("intake"), id="third")) == {"batchItemFailures": []}
    assert (len(running(states)), slots(aws)) == (1, []), "it has ended: an event takes no slot"


class Sent:
    """What was sent to a queue, in place of one whose delays a test would have to wait for."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.sent_ms = "0"

    def send_message(self, **message: Any) -> None:
        self.messages.append(message)

    def record(self) -> dict[str, Any]:
        """The last message as Lambda brings it."""
        return self.record_of(self.messages[-1])

    def record_of(self, message: dict[str, Any]) -> dict[str, Any]:
        (name, given), *_ = message["MessageAttributes"].items()
        attribute = {"stringValue": given["StringValue"], "dataType": given["DataType"]}
        record = {
            "messageId": f"again-{id(message)}",
            "body": message["MessageBody"],
            "messageAttributes": {name: attribute},
        }
        return {"receiptHandle": "r", "eventSource": "aws:sqs", "attributes": {"SentTimestamp": self.sent_ms}, **record}


@pytest.fixture
def waiting(states: Any, load: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Handler, Sent]]:
    """`waiting()`: the handler, and what it sends in place of messages that wait."""

    def loaded(sent: Sent | None = None) -> tuple[Handler, Sent]:
        handler, sent = load("intake"), sent or Sent()
        monkeypatch.setattr(sys.modules["millrace.functions.intake.handler"], "SQS", sent)
        return handler, sent

    return loaded


def test_without_a_free_slot_a_message_waits_and_costs_no_receive(
    states: Any, waiting: Any, event: Any, aws: Aws
) -> None:
    handler, sent = waiting()
    records = [changed(event("intake"), version=str(n))["Records"][0] | {"messageId": f"m{n}"} for n in range(3)]
    for record in records:
        assert handler({"Records": [record]}) == {"batchItemFailures": []}
    assert len(running(states)) == 2
    (first,) = sent.messages
    assert first["MessageBody"] == records[2]["body"]
    for _ in range(30):
        assert handler({"Records": [sent.record()]}) == {"batchItemFailures": []}
    delays = [message["DelaySeconds"] for message in sent.messages]
    usual = [min(300, 2 * 1.2**waits) for waits in range(31)]
    assert all(0.5 * one - 1 <= delay <= 1.5 * one + 1 for one, delay in zip(usual, delays, strict=True))
    assert len(set(delays[20:])) > 5, "drops of one burst come back one after the other"
    aws.slots.free(slots(aws)[0])
    assert handler({"Records": [sent.record()]}) == {"batchItemFailures": []}
    assert len(running(states)) == 3


def test_drops_to_score_wait_for_the_first_model_without_a_slot(
    states: Any, waiting: Any, event: Any, aws: Aws
) -> None:
    """As executions two of them would hold both slots until the first release."""
    handler, sent = waiting()
    dropped = [changed(event("intake"), key=f"electricity/scoring/{n}.csv")["Records"][0] for n in range(3)]
    records = [record | {"messageId": f"m{n}"} for n, record in enumerate(dropped)]
    assert handler({"Records": records}) == {"batchItemFailures": []}
    assert [events_in(message["MessageBody"]) for message in sent.messages] == [[each["body"] for each in records]]
    assert (running(states, "score"), aws.slots.holdings()) == ([], [])
    handler(changed(event("intake")))
    assert len(running(states)) == 1, "training goes on"
    aws.pointers.move(Pointers(champion=version("1")))
    handler({"Records": [sent.record()]})
    assert drops_in(states, "score") == [["0.csv", "1.csv", "2.csv"]]


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "income/training/x.csv"},
        {"key": "electricity/secrets/x.csv"},
        {"key": "electricity/training/"},
        {"key": "../electricity/training/x.csv"},
        {"source": "forged"},
        {"detail-type": "Object Deleted"},
    ],
)
def test_what_is_no_drop_of_ours_goes_to_the_dead_letters_with_the_reason(
    changes: dict[str, str], states: Any, load: Any, event: Any
) -> None:
    good = event("intake")["Records"][0] | {"messageId": "good"}
    bad = changed(event("intake"), **changes)["Records"][0]
    assert load("intake")({"Records": [bad, good]}) == {"batchItemFailures": []}
    assert len(running(states)) == 1, "the others of the batch are not held up"
    message = dead_letter()
    assert message["Body"] == bad["body"]
    assert ", came " in message["MessageAttributes"]["reason"]["StringValue"]


@pytest.mark.parametrize("body", ["", "{", "[]", '{"detail": 5}', '{"id": 1}'])
def test_a_message_that_is_no_event_says_what_is_wrong(body: str) -> None:
    with pytest.raises(NoDropError, match="came"):
        arrival_of(body, NAMES)


class Lost:
    """Step Functions, whose answer to a start is lost; `takes` says whether it had come there."""

    def __init__(self, states: Any, error: Exception, *, takes: bool) -> None:
        self._states, self._error, self._takes = states, error, takes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._states, name)

    def start_execution(self, **words: Any) -> Any:
        if self._takes:
            self._states.start_execution(**words)
        raise self._error


def refusal(code: str, *, status: int, retries: int) -> ClientError:
    answer = {"HTTPStatusCode": status, "RetryAttempts": retries}
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": answer}, "StartExecution")  # type: ignore[typeddict-item]


LOST = [
    ReadTimeoutError(endpoint_url="https://states.eu-west-1.amazonaws.com"),
    refusal("ThrottlingException", status=400, retries=4),
    refusal("InternalServerError", status=500, retries=0),
]


@pytest.mark.parametrize("error", LOST, ids=["time-out", "throttled later", "error"])
@pytest.mark.parametrize("takes", [True, False])
def test_a_start_whose_answer_is_lost_keeps_its_slot(
    error: Exception, takes: bool, states: Any, load: Any, aws: Aws, event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the execution that AWS may have started ends, or the sweep finds that there is none."""
    handler = load("intake")
    module = sys.modules["millrace.functions.intake.handler"]
    with monkeypatch.context() as lost:
        lost.setattr(module.EXECUTIONS, "states", Lost(module.EXECUTIONS.states, error, takes=takes))
        assert len(handler(event("intake"))["batchItemFailures"]) == 1
    assert len(slots(aws)) == 1
    assert handler(event("intake")) == {"batchItemFailures": []}
    (name,) = running(states)
    assert slots(aws) == [NAMES.execution_arn("ingest", name)], "the next delivery takes no other"


def test_an_error_before_the_start_keeps_the_slot_of_one_that_runs(
    states: Any, load: Any, aws: Aws, event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = load("intake")
    handler(event("intake"))

    def fail(*_: Any, **__: Any) -> bool:
        raise KeyError("claims")

    monkeypatch.setattr(sys.modules["millrace.functions.intake.handler"].EXECUTIONS.claims, "take", fail)
    assert len(handler(event("intake"))["batchItemFailures"]) == 1
    assert len(slots(aws)) == 1


def test_a_start_that_is_refused_at_once_frees_its_slot(
    states: Any, load: Any, aws: Aws, event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = load("intake")
    module = sys.modules["millrace.functions.intake.handler"]
    error = refusal("AccessDeniedException", status=400, retries=0)
    monkeypatch.setattr(module.EXECUTIONS, "states", Lost(module.EXECUTIONS.states, error, takes=False))
    assert len(handler(event("intake"))["batchItemFailures"]) == 1
    assert slots(aws) == []


def slots(aws: Aws) -> list[str]:
    return sorted(one.holder for one in aws.slots.holdings() if one.key.startswith("slots#ingest-"))


def records_of(event: Any, *names: str, feed: str = "training", size: int = 1000) -> list[dict[str, Any]]:
    """A message for each drop."""
    return [
        changed(event("intake"), key=f"electricity/{feed}/{name}", size=size, id=f"e-{name}")["Records"][0]
        | {"messageId": name}
        for name in names
    ]


def drops_in(states: Any, machine: str = "ingest") -> list[list[str]]:
    """The names of the drops of each execution."""
    found = []
    for name in running(states, machine):
        given = json.loads(states.describe_execution(executionArn=NAMES.execution_arn(machine, name))["input"])
        found.append([each["key"].rpartition("/")[2] for each in given["detail"]["objects"]])
    return sorted(found)


def test_a_drop_is_in_one_execution_whatever_it_comes_with(states: Any, wide: Any, event: Any, aws: Aws) -> None:
    """The same events again, in other company: what has an execution keeps it, the others go together."""
    a, b, c, d = records_of(event, "a", "b", "c", "d")
    wide({"Records": [a, b]})
    assert wide({"Records": [b, c, d]}) == {"batchItemFailures": []}
    assert wide({"Records": [d, a]}) == {"batchItemFailures": []}
    assert wide({"Records": [a, b]}) == {"batchItemFailures": []}
    assert drops_in(states) == [["a", "b"], ["c", "d"]]
    assert len(slots(aws)) == 2, "each of the two, and of no group that was not started"


class Dies(BaseException):
    """The worker is killed in the middle of a call."""


@pytest.mark.parametrize("at", ["slot", "claims", "execution", "answer"])
def test_an_intake_that_dies_between_two_calls_loses_and_repeats_nothing(
    at: str, states: Any, wide: Any, event: Any, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its messages come again in other company. `at` is what it did last."""
    module = sys.modules["millrace.functions.intake.handler"]
    a, b, c = records_of(event, "a", "b", "c")

    def die(*_: Any, **__: Any) -> None:
        raise Dies

    with monkeypatch.context() as patched:
        match at:
            case "slot":
                patched.setattr(module.EXECUTIONS.claims, "take", die)
            case "claims":
                patched.setattr(module.EXECUTIONS, "run", die)
            case "execution" | "answer":
                run = module.EXECUTIONS.run
                patched.setattr(module.EXECUTIONS, "run", lambda wanted: (run(wanted), die()))
        with pytest.raises(Dies):
            wide({"Records": [a, b]})
    if at == "answer":
        for name in running(states):
            states.stop_execution(executionArn=NAMES.execution_arn("ingest", name))
    for records in ([b, c], [a], [a, b, c]):
        assert wide({"Records": records}) == {"batchItemFailures": []}
    found = drops_in(states)
    assert sorted(name for group in found for name in group) == ["a", "b", "c"]
    assert found == ([["a"], ["b", "c"]] if at == "slot" else [["a", "b"], ["c"]])


def test_a_group_without_a_slot_waits_whole(states: Any, waiting: Any, event: Any, aws: Aws) -> None:
    """In one message, so that its drops go together then, also with those that another message brings."""
    for holder in ("one", "two"):
        aws.slots.take(POOL, holder=holder, limit=2)
    handler, sent = waiting()
    records = records_of(event, *"abcdef")
    assert handler({"Records": records[:3]}) == {"batchItemFailures": []}
    first = sent.record()
    assert handler({"Records": [first, *records[3:]]}) == {"batchItemFailures": []}
    assert [len(events_in(message["MessageBody"])) for message in sent.messages] == [3, 6]
    assert [message["MessageAttributes"]["waits"]["StringValue"] for message in sent.messages] == ["1", "2"]
    assert running(states) == []
    aws.slots.free("one")
    assert handler({"Records": [sent.record(), first]}) == {"batchItemFailures": []}
    assert drops_in(states) == [[*"abcdef"]]


def test_a_group_that_cannot_be_sent_again_comes_back(states: Any, waiting: Any, event: Any, aws: Aws) -> None:
    for holder in ("one", "two"):
        aws.slots.take(POOL, holder=holder, limit=2)
    records = [*records_of(event, "a", "b"), *records_of(event, "c", size=2**20 + 1)]
    for holder in ("three", "four"):
        aws.slots.take("ingest-training", holder=holder, limit=2)

    class Refusing(Sent):
        def send_message(self, **message: Any) -> None:
            if len(events_in(message["MessageBody"])) > 1:
                raise ClientError({"Error": {"Code": "RequestThrottled", "Message": ""}}, "SendMessage")
            super().send_message(**message)

    handler, sent = waiting(Refusing())
    assert handler({"Records": records}) == {"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "b"}]}
    assert [message["MessageBody"] for message in sent.messages] == [records[2]["body"]]


def test_any_error_brings_back_the_messages_of_its_group_only_and_keeps_no_slot(
    states: Any, load: Any, event: Any, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    module_of, handler = sys.modules, load("intake")
    claims = module_of["millrace.functions.intake.handler"].EXECUTIONS.claims
    take = claims.take

    def fail(start: Any, *given: Any, **more: Any) -> bool:
        if "labels" in start.input:
            raise KeyError("machine")
        taken: bool = take(start, *given, **more)
        return taken

    monkeypatch.setattr(claims, "take", fail)
    records = [*records_of(event, "a", "b", feed="labels"), *records_of(event, "c", "d")]
    assert handler({"Records": records}) == {"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "b"}]}
    assert drops_in(states) == [["c", "d"]]
    assert len(slots(aws)) == 1


@pytest.mark.parametrize("gone", ["group#", "drop#", "one drop#"])
def test_drops_whose_claims_are_deleted_one_by_one_have_had_their_execution(
    gone: str, states: Any, wide: Any, event: Any, aws: Aws
) -> None:
    """DynamoDB deletes what is too old item by item, in any order."""
    records = records_of(event, "a", "b")
    wide({"Records": records})
    (name,) = running(states)
    arn = NAMES.execution_arn("ingest", name)
    states.stop_execution(executionArn=arn)
    aws.slots.free(arn)
    prefix = gone.removeprefix("one ")
    named = [f"{prefix}{key}" for key in sys.modules["millrace.functions.intake.handler"].ROOM.state.items(prefix)]
    for key in named[:1] if gone.startswith("one") else named:
        item = {"pk": {"S": NAMES.workload}, "sk": {"S": key}}
        aws.dynamodb.delete_item(TableName=NAMES.platform.state_table, Key=item)
    assert wide({"Records": records}) == {"batchItemFailures": []}
    assert (running(states), slots(aws)) == ([name], [])


def test_drops_that_are_claimed_and_have_no_claim_wait(
    states: Any, wide: Any, event: Any, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim that was in the way was deleted in the meantime."""
    module, sent = sys.modules["millrace.functions.intake.handler"], Sent()
    monkeypatch.setattr(module.EXECUTIONS.claims, "take", lambda *_, **__: False)
    monkeypatch.setattr(module, "SQS", sent)
    assert wide({"Records": records_of(event, "a", "b")}) == {"batchItemFailures": []}
    assert (len(sent.messages), running(states), slots(aws)) == (1, [], [])


@pytest.fixture
def one_slot(waiting: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Handler, Sent]:
    """The handler with one slot for groups of small drops, and what it sends."""
    monkeypatch.delenv("MILLRACE_SLOTS")
    monkeypatch.setenv("MILLRACE_SLOTS_TOGETHER", "1")
    found: tuple[Handler, Sent] = waiting()
    return found


def test_a_burst_of_small_drops_runs_group_by_group_and_holds_up_no_other_feed(
    states: Any, one_slot: Any, event: Any, aws: Aws
) -> None:
    """What waits gathers: of forty drops that come two by two there are few runs, one after the other."""
    handler, sent = one_slot
    for at in range(0, 40, 2):
        handler({"Records": records_of(event, f"{at:02}", f"{at + 1:02}", feed="labels")})
    assert (len(running(states)), len(sent.messages)) == (1, 19)
    assert handler({"Records": records_of(event, "t")}) == {"batchItemFailures": []}
    assert handler({"Records": records_of(event, "l", feed="labels", size=2**20 + 1)}) == {"batchItemFailures": []}
    assert drops_in(states) == [["00", "01"], ["l"], ["t"]], "neither another feed nor a large drop waits"
    while sent.messages:
        for holder in slots(aws):
            states.stop_execution(executionArn=holder)
            aws.slots.free(holder)
        waiting, sent.messages = [sent.record_of(each) for each in sent.messages], []
        assert handler({"Records": waiting}) == {"batchItemFailures": []}
        assert len(slots(aws)) == 1
    assert sorted(map(len, drops_in(states))) == [1, 1, 2, 13, MOST_TOGETHER]


@pytest.mark.parametrize("case", ["ended", "slow", "not started", "runs"])
def test_a_slot_that_is_held_for_nothing_is_found_by_those_that_wait(
    case: str, states: Any, one_slot: Any, event: Any, aws: Aws
) -> None:
    """The event of its end is lost, a file takes an hour, or the intake died before the start."""
    handler, sent = one_slot
    handler({"Records": records_of(event, "a")})
    (holder,) = slots(aws)
    began = states.describe_execution(executionArn=holder)["startDate"].timestamp()
    if case == "ended":
        states.stop_execution(executionArn=holder)
    if case == "not started":
        aws.slots.free(holder)
        holder = NAMES.execution_arn("ingest", "missing")
        aws.slots.take(POOL, holder=holder, limit=1)
    handler({"Records": records_of(event, "b")})
    step_s = {"runs": 30, "slow": 130}.get(case, 70)
    for waits in range(1, 13):
        assert slots(aws) == [holder]
        sent.sent_ms = str(int((began + step_s * max(0, waits - 9)) * 1000))
        handler({"Records": [sent.record()]})
        if slots(aws) != [holder]:
            break
    assert (slots(aws) == [holder]) == (case == "runs")


def test_a_message_of_several_drops_is_as_good_as_one_each(states: Any, wide: Any, event: Any) -> None:
    """One that is no drop goes to the dead letters by itself."""
    records = records_of(event, "a", "b")
    body = json.dumps([records[0]["body"], "{}", records[1]["body"]])
    assert wide({"Records": [records[0] | {"body": body}]}) == {"batchItemFailures": []}
    assert drops_in(states) == [["a", "b"]]
    assert dead_letter()["Body"] == "{}"
