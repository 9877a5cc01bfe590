"""What a rule sends to an API destination is posted to its URL, or lies among the dead letters."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.localcloud.resources import allow, make_role
from tests.localcloud.waiting import until


@pytest.fixture
def posted() -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """A chat: its URL, and header and body of each post."""
    found: list[tuple[str, Any]] = []

    class Chat(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            found.append((self.headers["X-Millrace-Stage"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("localhost", 0), Chat)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://localhost:{server.server_address[1]}/hook", found
    server.shutdown()
    server.server_close()
    thread.join()


def rule_to(client: Any, fresh: Any, url: str, *, may: bool) -> tuple[str, str]:
    """The source that the rule matches, and the URL of its dead letters."""
    name, events = fresh("hook"), client("events")
    key = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Millrace-Stage", "ApiKeyValue": "dev"}}  # pragma: allowlist secret
    connection = events.create_connection(Name=name, AuthorizationType="API_KEY", AuthParameters=key)["ConnectionArn"]
    destination = events.create_api_destination(
        Name=name, ConnectionArn=connection, InvocationEndpoint=url, HttpMethod="POST"
    )["ApiDestinationArn"]
    may_call = allow("events:InvokeApiDestination", destination if may else f"{destination}-other")
    role = make_role(client("iam"), name, "events", may_call)
    dead = client("sqs").create_queue(QueueName=name)["QueueUrl"]
    arn = client("sqs").get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    target = {
        "Id": "webhook",
        "Arn": destination,
        "RoleArn": role,
        "InputTransformer": {"InputPathsMap": {"who": "$.detail.who"}, "InputTemplate": '{"text": "late: <who>"}'},
        "DeadLetterConfig": {"Arn": arn},
        "RetryPolicy": {"MaximumRetryAttempts": 0},
    }
    events.put_targets(Rule=name, Targets=[target])
    return name, dead


def put(client: Any, source: str) -> None:
    entry = {"Source": source, "DetailType": "late", "Detail": json.dumps({"who": "rows"})}
    client("events").put_events(Entries=[entry])


def test_the_text_is_posted_with_the_key(client: Any, fresh: Any, posted: Any) -> None:
    url, found = posted
    source, _ = rule_to(client, fresh, url, may=True)
    put(client, source)
    assert until(lambda: found) == [("dev", {"text": "late: rows"})]


@pytest.mark.parametrize("may", [True, False])
def test_what_nobody_takes_is_a_dead_letter(may: bool, client: Any, fresh: Any, posted: Any) -> None:
    """A chat that is not there, or a role that may not."""
    url, found = posted
    source, dead = rule_to(client, fresh, "http://localhost:9/hook" if may else url, may=may)
    put(client, source)
    (message,) = until(
        lambda: client("sqs").receive_message(QueueUrl=dead, MessageAttributeNames=["All"]).get("Messages", [])
    )
    code = "SDK_CLIENT_ERROR" if may else "NO_PERMISSIONS"
    assert message["MessageAttributes"]["ERROR_CODE"]["StringValue"] == code
    assert found == []
