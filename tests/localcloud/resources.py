"""What tests have made in a cloud, each by a line: roles, queues, buckets, tables, functions, machines."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from localcloud.kernel.cloud import Cloud
from tests.archives import zipped
from tests.localcloud.waiting import until

REGION, ACCOUNT = "eu-west-1", "123456789012"
_KINDS = ("HASH", "RANGE")


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions: str | list[str], resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    """`more` are other members of the statement: `Principal`, `Condition`, another `Effect`."""
    return {"Effect": "Allow", "Action": actions, "Resource": resource, **more}


def trust(*services: str) -> str:
    """The trust policy of a role that the services (`lambda`, `states`) may assume."""
    named = [f"{service}.amazonaws.com" for service in services]
    return document({"Effect": "Allow", "Principal": {"Service": named}, "Action": "sts:AssumeRole"})


def make_role(iam: Any, name: str, service: str, *statements: dict[str, Any]) -> str:
    """The ARN of a new role that the services (`lambda`, `lambda states`) may assume, with these statements."""
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(*service.split()))["Role"]["Arn"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(*statements))
    return arn


def of_account(client: Any, account: str) -> Any:
    """The client, as one of this account's operator."""
    client.meta.events.register(
        "before-sign.*", lambda request, **_: request.headers.add_header("x-moto-account-id", account)
    )
    return client


def keys_of(environment: dict[str, str]) -> dict[str, str]:
    """A role's keys as boto3 takes them, of the environment of a process."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    return {name.lower(): environment[name] for name in names}


def closed(states: Any, execution: str) -> dict[str, Any]:
    """What DescribeExecution says once the execution does not run."""
    until(lambda: states.describe_execution(executionArn=execution)["status"] != "RUNNING")
    told: dict[str, Any] = states.describe_execution(executionArn=execution)
    return told


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A queue, and what lies in it."""

    sqs: Any
    url: str
    arn: str

    def take(self, *, wait_s: int = 10) -> dict[str, Any]:
        """The one message that is there, or comes within the seconds; it is deleted."""
        (message,) = self.messages(wait_s=wait_s)
        return message

    def messages(self, *, wait_s: int = 0) -> list[dict[str, Any]]:
        """The messages of one receive, which are deleted."""
        asked = {"MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"], "AttributeNames": ["All"]}
        found = self.sqs.receive_message(QueueUrl=self.url, WaitTimeSeconds=wait_s, **asked).get("Messages", [])
        for message in found:
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return list(found)

    def bodies(self) -> list[Any]:
        """All messages that are there, as JSON."""
        found: list[Any] = []
        while messages := self.messages():
            found += [json.loads(message["Body"]) for message in messages]
        return found


@dataclass(frozen=True)
class Stack:
    """A stack, and what became of it."""

    cloudformation: Any
    name: str

    @property
    def status(self) -> str:
        return str(self.cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"])

    @property
    def failure(self) -> str | None:
        for event in self.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]:
            if event["ResourceStatus"].endswith("_FAILED"):
                return f"{event['LogicalResourceId']} ({event['ResourceType']}): {event['ResourceStatusReason']}"
        return None

    def physical(self, logical: str) -> str:
        resources = self.cloudformation.describe_stack_resources(StackName=self.name)["StackResources"]
        return str({one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources}[logical])


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Makes resources with names of their own by the operator's calls."""

    cloud: Cloud

    def client(self, service: str) -> Any:
        return self.cloud.client(service)

    def fresh(self, prefix: str = "test") -> str:
        """A name nobody else uses: `fresh("queue")` is `queue-1f0c9a52`."""
        return f"{prefix}-{uuid.uuid4().hex[:8]}"

    def role(self, service: str, *statements: dict[str, Any], name: str = "") -> str:
        """The ARN of a role."""
        return make_role(self.client("iam"), name or self.fresh("role"), service, *statements)

    def queue(self, suffix: str = "", **attributes: str) -> Queue:
        name, sqs = self.fresh("queue") + suffix, self.client("sqs")
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return Queue(sqs=sqs, url=url, arn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")

    def heard(self, **pattern: Any) -> Queue:
        """A queue with the events of the default bus that match the pattern."""
        queue, name, events = self.queue(), self.fresh("heard"), self.client("events")
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": queue.arn}])
        return queue

    def bucket(self) -> str:
        name = self.fresh("bucket")
        self.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name

    def table(self, *keys: str, **more: Any) -> str:
        """A table with these keys: one of partitions, and one that sorts."""
        name = self.fresh("table")
        self.client("dynamodb").create_table(
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, _KINDS, strict=False)],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            BillingMode="PAY_PER_REQUEST",
            **more,
        )
        return name

    def function(self, source: str, *statements: dict[str, Any], **settings: Any) -> str:
        """The name of a function whose role has the statements."""
        name = self.fresh("function")
        given = {"Timeout": 10, "MemorySize": 256, "Code": {"ZipFile": zipped(**{"app.py": source})}, **settings}
        role = given.pop("Role", "") or self.role("lambda", *statements)
        self.client("lambda").create_function(
            FunctionName=name, Runtime="python3.13", Handler="app.handler", Role=role, **given
        )
        return name

    def printed(self, function: str, word: str) -> list[Any]:
        """What the function has printed behind the word, as JSON: `GOT {"a": 1}`."""
        log = self.cloud.workspace / "logs" / "functions" / f"{function}.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [json.loads(line.removeprefix(f"{word} ")) for line in lines if line.startswith(f"{word} ")]

    def machine(self, steps: dict[str, Any], *, role: str = "", kind: str = "STANDARD", **more: Any) -> str:
        """The ARN of a machine of these states, the first one its start; its role may do everything."""
        definition = {"StartAt": next(iter(steps)), "States": steps, **more}
        arn: str = self.client("stepfunctions").create_state_machine(
            name=self.fresh("machine"),
            definition=json.dumps(definition),
            roleArn=role or self.role("states", allow("*")),
            type=kind,
        )["stateMachineArn"]
        return arn

    def start(self, machine: str, given: Any = None, **more: Any) -> str:
        """The ARN of a new execution."""
        states = self.client("stepfunctions")
        return str(
            states.start_execution(stateMachineArn=machine, input=json.dumps(given or {}), **more)["executionArn"]
        )

    def closed(self, execution: str) -> dict[str, Any]:
        return closed(self.client("stepfunctions"), execution)

    def run(self, steps: dict[str, Any] | str, given: Any = None, **more: Any) -> dict[str, Any]:
        """The closed execution of a machine, or of these states."""
        machine = steps if isinstance(steps, str) else self.machine(steps)
        return self.closed(self.start(machine, given, **more))
