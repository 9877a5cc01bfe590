"""A topic's notification reaches a function whole and on its own time, if the function's policy lets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from localcloud.awslambda import functions
from localcloud.kernel.cloud import Cloud
from tests.localcloud.resources import make_role, zipped
from tests.localcloud.waiting import until


@pytest.fixture
def subscribed(client: Callable[[str], Any], fresh: Callable[..., str]) -> Callable[..., tuple[str, str]]:
    """Makes a topic with a function behind it; gives the topic's ARN and the function's name."""

    def make(*, is_permitted: bool = True) -> tuple[str, str]:
        name = fresh("function")
        code = zipped("import json\ndef handler(e, c):\n    print('GOT', json.dumps(e))")
        role = make_role(client("iam"), name, "lambda")
        arn = client("lambda").create_function(
            FunctionName=name, Runtime="python3.13", Role=role, Handler="app.handler",
            Code={"ZipFile": code},
        )["FunctionArn"]  # fmt: skip
        topic: str = client("sns").create_topic(Name=name)["TopicArn"]
        client("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
        if is_permitted:
            client("lambda").add_permission(
                FunctionName=name, StatementId="sns", Action="lambda:InvokeFunction",
                Principal="sns.amazonaws.com", SourceArn=topic,
            )  # fmt: skip
        return topic, name

    return make


def received(cloud: Cloud, name: str) -> list[dict[str, Any]]:
    until(lambda: not functions.pending(cloud))
    log = cloud.workspace / "logs" / "functions" / f"{name}.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return [json.loads(line.removeprefix("GOT ")) for line in lines if line.startswith("GOT ")]


def test_the_function_gets_the_whole_notification(cloud: Cloud, client: Any, subscribed: Any) -> None:
    topic, name = subscribed()
    attribute = {"kind": {"DataType": "String", "StringValue": "drill"}}
    answer = client("sns").publish(TopicArn=topic, Subject="s", Message="hello", MessageAttributes=attribute)
    (event,) = received(cloud, name)
    (record,) = event["Records"]
    said = record["Sns"]
    assert (said["Message"], said["Subject"], said["TopicArn"]) == ("hello", "s", topic)
    assert said["MessageId"] == answer["MessageId"]
    assert said["MessageAttributes"] == {"kind": {"Type": "String", "Value": "drill"}}
    assert record["EventSubscriptionArn"].startswith(topic)


def test_without_permission_nothing_arrives(cloud: Cloud, client: Any, subscribed: Any) -> None:
    topic, name = subscribed(is_permitted=False)
    client("sns").publish(TopicArn=topic, Message="hello")
    assert received(cloud, name) == []
