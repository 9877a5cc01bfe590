"""Events from PutEvents and from services, to each kind of target, and what happens when a target refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from email.message import Message
from typing import Any

import pytest

from localcloud.awslambda import functions
from localcloud.events import rules, targets
from localcloud.events.rules import target_input
from localcloud.kernel.cloud import Cloud
from tests.localcloud.resources import Queue, Resources, allow, document
from tests.localcloud.waiting import until
from tests.posts import Answer, answering_posts

ACCOUNT_ARN = "eu-west-1:123456789012"


@pytest.fixture
def queue(aws: Resources) -> Callable[..., Queue]:
    return aws.queue


@pytest.fixture
def rule(client: Callable[[str], Any], fresh: Callable[..., str]) -> Callable[..., str]:
    """Makes a rule with one target for its own source; gives the source."""

    def make(target: dict[str, Any], pattern: dict[str, Any] | None = None, bus: str = "default") -> str:
        name = fresh("rule")
        everything = {"source": [name], **(pattern or {})}
        client("events").put_rule(Name=name, EventPattern=json.dumps(everything), EventBusName=bus)
        answer = client("events").put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "t", **target}])
        assert answer["FailedEntryCount"] == 0
        return name

    return make


@pytest.fixture
def put(client: Callable[[str], Any]) -> Callable[..., str]:
    def put(source: str, detail: Any = None, bus: str = "default") -> str:
        entry = {"Source": source, "DetailType": "t", "Detail": json.dumps(detail or {}), "EventBusName": bus}
        (answer,) = client("events").put_events(Entries=[entry])["Entries"]
        return str(answer["EventId"])

    return put


def test_only_aws_speaks_for_its_services(cloud: Cloud, client: Callable[[str], Any], queue: Any, rule: Any) -> None:
    """The entry fails, and those beside it do not."""
    target = queue()
    source = rule({"Arn": target.arn})
    entries = [{"Source": one, "DetailType": "t", "Detail": "{}"} for one in (source, "aws.s3", source)]
    answer = client("events").put_events(Entries=entries)
    assert answer["FailedEntryCount"] == 1
    assert [entry.get("ErrorCode") for entry in answer["Entries"]] == [None, "NotAuthorizedForSourceException", None]
    settle(cloud)
    assert len(target.bodies()) == 2


def settle(cloud: Cloud) -> None:
    until(lambda: not functions.pending(cloud))


def test_a_disabled_rule_gets_no_events(cloud: Cloud, client: Any, queue: Any, rule: Any, put: Any) -> None:
    disabled, control = queue(), queue()
    off = rule({"Arn": disabled.arn})
    client("events").disable_rule(Name=off)
    put(off)
    put(rule({"Arn": control.arn}))
    assert control.take()
    settle(cloud)
    assert not disabled.messages()


def test_rendered_input_reaches_a_fifo_queue_with_its_group(queue: Any, rule: Any, put: Any) -> None:
    target = queue(".fifo", FifoQueue="true", ContentBasedDeduplication="true")
    transformer = {"InputPathsMap": {"a": "$.detail.a"}, "InputTemplate": '{"is":<a>,"rule":<aws.events.rule-name>}'}
    source = rule({"Arn": target.arn, "SqsParameters": {"MessageGroupId": "g"}, "InputTransformer": transformer})
    put(source, {"a": {"b": "x"}})
    message = target.take()
    assert json.loads(message["Body"]) == {"is": {"b": "x"}, "rule": source}
    assert message["Attributes"]["MessageGroupId"] == "g"


def test_topic_and_bus_pass_it_on(client: Any, queue: Any, rule: Any, put: Any, fresh: Any) -> None:
    behind_topic, behind_bus = queue(), queue()
    topic = client("sns").create_topic(Name=fresh("topic"), Attributes={"Policy": open_to("sns:Publish", "events")})[
        "TopicArn"
    ]
    client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=behind_topic.arn, Attributes={"RawMessageDelivery": "true"}
    )
    bus = client("events").create_event_bus(Name=fresh("bus"))["EventBusArn"]
    put(rule({"Arn": topic, "Input": '{"to": "topic"}'}))
    assert json.loads(behind_topic.take()["Body"]) == {"to": "topic"}
    source = rule({"Arn": bus})
    client("events").put_rule(Name=fresh("second"), EventBusName=bus, EventPattern=json.dumps({"source": [source]}))
    second = client("events").list_rules(EventBusName=bus)["Rules"][0]["Name"]
    client("events").put_targets(Rule=second, EventBusName=bus, Targets=[{"Id": "q", "Arn": behind_bus.arn}])
    event_id = put(source, {"a": 1})
    event = json.loads(behind_bus.take()["Body"])
    assert (event["id"], event["source"]) == (event_id, source)


@pytest.mark.parametrize("cause", ["disabled", "refused"])
def test_a_bus_without_its_key_delivers_to_its_dead_letters_unless_they_need_the_key(
    cloud: Cloud, client: Any, queue: Any, rule: Any, put: Any, fresh: Any, cause: str
) -> None:
    target, open_dead = queue(), queue(SqsManagedSseEnabled="true")
    kms, opening = client("kms"), open_to("kms:*", "events")
    key = kms.create_key(Policy=opening)["KeyMetadata"]["KeyId"]
    closed_dead = queue(KmsMasterKeyId=key, Policy=open_to("sqs:SendMessage", "events"))
    for dead in (open_dead, closed_dead):
        bus = fresh("bus")
        client("events").create_event_bus(Name=bus, KmsKeyIdentifier=key, DeadLetterConfig={"Arn": dead.arn})
        source = rule({"Arn": target.arn}, bus=bus)
        kms.enable_key(KeyId=key)
        kms.put_key_policy(KeyId=key, PolicyName="default", Policy=opening)
        put(source, {"a": 1}, bus)
        assert json.loads(target.take()["Body"])["detail"] == {"a": 1}
        if cause == "disabled":
            kms.disable_key(KeyId=key)
        else:
            kms.put_key_policy(KeyId=key, PolicyName="default", Policy=open_to("kms:*", "sns"))
        put(source, {"a": 2}, bus)
        settle(cloud)
        assert not target.messages()
    told = open_dead.take()
    assert json.loads(told["Body"])["detail"] == {"a": 2}
    assert told["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS"
    assert not closed_dead.messages()


def test_what_cannot_be_delivered_goes_to_the_targets_dead_letters(queue: Any, rule: Any, put: Any) -> None:
    dead = queue()
    missing = f"arn:aws:sqs:{ACCOUNT_ARN}:no-such-queue"
    source = rule({"Arn": missing, "DeadLetterConfig": {"Arn": dead.arn}})
    event_id = put(source, {"a": 1})
    message = dead.take()
    said = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert json.loads(message["Body"])["id"] == event_id
    assert said["ERROR_CODE"] == "NO_RESOURCE"
    assert said["TARGET_ARN"] == missing
    assert said["RULE_ARN"].endswith(f"rule/{source}")


def test_a_state_machine_needs_a_role(queue: Any, rule: Any, put: Any) -> None:
    dead = queue()
    put(rule({"Arn": f"arn:aws:states:{ACCOUNT_ARN}:stateMachine:m", "DeadLetterConfig": {"Arn": dead.arn}}))
    assert dead.take()["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS"


def test_a_state_machine_is_started_twice(client: Any, cloud: Cloud, rule: Any, put: Any, aws: Resources) -> None:
    machine = aws.machine({"a": {"Type": "Pass", "End": True}})
    role = aws.role("events", allow("states:StartExecution"))
    source = rule({"Arn": machine, "RoleArn": role, "InputPath": "$.detail"})
    ids = {put(source, {"n": n}) for n in range(2)}
    settle(cloud)
    started = client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
    assert {execution["name"].split("_")[0] for execution in started} == ids


def test_retries_are_bounded(cloud: Cloud, queue: Any, rule: Any, put: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def refuse(*_: Any, **__: Any) -> None:
        tried.append(1)
        raise rules.targets.Undelivered("THROTTLING", "slow down", is_permanent=False)

    dead = queue()
    source = rule({"Arn": queue().arn, "DeadLetterConfig": {"Arn": dead.arn}})
    send = rules.targets.send
    monkeypatch.setattr(targets, "RETRY_WAITS_S", (0.01, 0.01))
    monkeypatch.setattr(
        rules.targets, "send", lambda cloud, arn, *a, **k: (send if arn == dead.arn else refuse)(cloud, arn, *a, **k)
    )
    put(source)
    message = dead.take()
    assert len(tried) == 3
    assert message["MessageAttributes"]["RETRY_ATTEMPTS"]["StringValue"] == "2"
    assert message["MessageAttributes"]["EXHAUSTED_RETRY_CONDITION"]["StringValue"] == "MaximumRetryAttempts"


def open_to(action: str, service: str) -> str:
    """A policy of a resource."""
    return document(allow(action, Principal={"Service": f"{service}.amazonaws.com"}))


EVENT = {
    "version": "0",
    "id": "7bf73129",
    "detail-type": "EC2 Instance State-change Notification",
    "source": "aws.ec2",
    "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"],
    "detail": {"instance-id": "i-0123456789", "state": "RUNNING", "n": 3, "tags": [{"k": "a"}, {"k": "b"}]},
}
PATHS = {
    "instance": "$.detail.instance-id",
    "state": "$.detail.state",
    "n": "$.detail.n",
    "detail": "$.detail",
    "first": "$.resources[0]",
    "keys": "$.detail.tags[*].k",
    "nowhere": "$.detail.object.key",
}
RESERVED = {
    "aws.events.rule-name": "example",
    "aws.events.event.json": EVENT,
    "aws.events.event.ingestion-time": "2015-11-11T21:29:54Z",
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('"instance <instance> is in <state>"', "instance i-0123456789 is in RUNNING"),
        ('{"status": "instance \\"<instance>\\" is in <state>"}', {"status": 'instance "i-0123456789" is in RUNNING'}),
        ('{"list": [9, <state>, true], "n": <n>}', {"list": [9, "RUNNING", True], "n": 3}),
        ('{"detail": <detail>, "first": <first>}', {"detail": EVENT["detail"], "first": EVENT["resources"][0]}),
        ('{"keys": <keys>}', {"keys": ["a", "b"]}),
        ('{"missing": <nowhere>, "text": "a<nowhere>b"}', {"missing": None, "text": "ab"}),
        ('{"original": <aws.events.event.json>}', {"original": EVENT}),
        ('"<aws.events.rule-name> at <aws.events.event.ingestion-time>"', "example at 2015-11-11T21:29:54Z"),
        ('{"less": "a <unknown> b"}', {"less": "a <unknown> b"}),
    ],
)
def test_template(template: str, expected: Any) -> None:
    target = {"InputTransformer": {"InputPathsMap": PATHS, "InputTemplate": template}}
    assert json.loads(target_input(target, EVENT, RESERVED)) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({}, EVENT),
        ({"Input": '{"a": 1}'}, {"a": 1}),
        ({"InputPath": "$.detail.state"}, "RUNNING"),
        ({"InputPath": "$.detail"}, EVENT["detail"]),
    ],
)
def test_whole_part_or_constant(target: dict[str, Any], expected: Any) -> None:
    assert json.loads(target_input(target, EVENT, RESERVED)) == expected


def test_values_are_not_escaped_inside_quotes() -> None:
    """AWS says so on its page; the target then gets text that is not JSON."""
    target = {"InputTransformer": {"InputPathsMap": {"s": "$.s"}, "InputTemplate": '{"a": "<s>"}'}}
    assert target_input(target, {"s": 'a "quoted" word'}, {}) == '{"a": "a "quoted" word"}'


@pytest.fixture
def posted() -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """A chat: its URL, and header and body of each post."""
    found: list[tuple[str, Any]] = []

    def answer(_: str, headers: Message, body: bytes) -> Answer:
        found.append((headers["X-Millrace-Stage"], json.loads(body)))
        return 200, b"", {}

    with answering_posts(answer) as port:
        yield f"http://localhost:{port}/hook", found


def rule_to(aws: Resources, url: str, *, may: bool) -> tuple[str, Queue]:
    """The source that the rule matches, and its dead letters."""
    name, events, dead = aws.fresh("hook"), aws.client("events"), aws.queue()
    key = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Millrace-Stage", "ApiKeyValue": "dev"}}  # pragma: allowlist secret
    connection = events.create_connection(Name=name, AuthorizationType="API_KEY", AuthParameters=key)["ConnectionArn"]
    destination = events.create_api_destination(
        Name=name, ConnectionArn=connection, InvocationEndpoint=url, HttpMethod="POST"
    )["ApiDestinationArn"]
    may_call = allow("events:InvokeApiDestination", destination if may else f"{destination}-other")
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    target = {
        "Id": "webhook",
        "Arn": destination,
        "RoleArn": aws.role("events", may_call),
        "InputTransformer": {"InputPathsMap": {"who": "$.detail.who"}, "InputTemplate": '{"text": "late: <who>"}'},
        "DeadLetterConfig": {"Arn": dead.arn},
        "RetryPolicy": {"MaximumRetryAttempts": 0},
    }
    events.put_targets(Rule=name, Targets=[target])
    return name, dead


def test_the_text_is_posted_with_the_key(aws: Resources, put: Any, posted: Any) -> None:
    url, found = posted
    put(rule_to(aws, url, may=True)[0], {"who": "rows"})
    assert until(lambda: found) == [("dev", {"text": "late: rows"})]


@pytest.mark.parametrize("may", [True, False])
def test_what_nobody_takes_is_a_dead_letter(may: bool, aws: Resources, put: Any, posted: Any) -> None:
    """A chat that is not there, or a role that may not."""
    url, found = posted
    source, dead = rule_to(aws, "http://localhost:9/hook" if may else url, may=may)
    put(source, {"who": "rows"})
    code = "SDK_CLIENT_ERROR" if may else "NO_PERMISSIONS"
    assert dead.take()["MessageAttributes"]["ERROR_CODE"]["StringValue"] == code
    assert found == []
