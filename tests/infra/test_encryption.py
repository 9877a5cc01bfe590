"""Which services use the customer key on their own account, and may they: as AWS asks, and no emulator does.

Every use is found in the templates of AWS's stages; what the key's policy forgets is lost on AWS without an error. What
acts in a role's name is asked for its rights by the local cloud (`tests/end_to_end/test_permissions.py`)."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from localcloud.iam.identity import GLOBAL_KEYS
from localcloud.iam.policies import Request, verdict
from millrace.infra.rules.assembly import listed

ACCOUNT, REGION = "123456789012", "eu-west-1"
Templates = dict[str, dict[str, Any]]
Resource = Mapping[str, Any]
SENDING = ("kms:GenerateDataKey", "kms:Decrypt")
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html and
https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html"""


@dataclass(frozen=True, kw_only=True)
class Use:
    """One use of the customer key."""

    kind: str
    """Who does what, in words."""
    where: str
    who: str
    """A service principal."""
    actions: tuple[str, ...] = SENDING
    context: Mapping[str, str] = field(default_factory=dict)
    """Condition values that the service is known to send; nothing else is in the request."""


BY_THE_CALLER = {
    "AWS::Athena::WorkGroup": "Athena writes results with the permissions of who runs the query",
    "AWS::DynamoDB::Table": "DynamoDB uses the key with the permissions of who reads or writes an item",
    "AWS::S3::Bucket": "S3 uses the key with the permissions of who gets or puts an object",
    "AWS::Lambda::Function": "Lambda reads a function's variables in the name of its role",
    "AWS::Scheduler::Schedule": "Scheduler reads a schedule's input in the name of its role",
    "AWS::ECR::Repository": "ECR makes grants for itself with the permissions of who makes the repository",
}
"""Types under the key that no service writes to on its own account; `test_permissions.py` asks their callers."""


def resources(templates: Templates, kind: str) -> Iterator[tuple[str, Resource]]:
    """Properties of every resource of a type, with the place where it stands."""
    for stack, template in templates.items():
        for name, resource in template["Resources"].items():
            if resource["Type"] == kind:
                yield f"{stack} {name}", resource.get("Properties", {})


def uses(templates: Templates) -> Iterator[Use]:
    """Every use of the customer key by a service."""
    yield from _of_events(templates)
    yield from _of_alarms(templates)
    yield from _of_topics(templates)
    yield from _of_logs(templates)
    yield from _of_trails(templates)


def queues(templates: Templates) -> dict[str, Resource]:
    """By ARN."""
    return {
        f"arn:aws:sqs:{REGION}:{ACCOUNT}:{properties['QueueName']}": properties
        for _, properties in resources(templates, "AWS::SQS::Queue")
    }


def _of_events(templates: Templates) -> Iterator[Use]:
    under_key = {arn for arn, queue in queues(templates).items() if queue.get("KmsMasterKeyId")}
    for where, rule in resources(templates, "AWS::Events::Rule"):
        for target in rule["Targets"]:
            if isinstance(arn := target["Arn"], str) and arn in under_key:
                context = {"aws:sourceaccount": ACCOUNT, "kms:encryptioncontext:aws:sqs:arn": arn}
                yield Use(kind="EventBridge sends to a queue", where=where, who="events.amazonaws.com", context=context)
    for where, bus in resources(templates, "AWS::Events::EventBus"):
        if bus.get("KmsKeyIdentifier"):
            arn = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{bus['Name']}"
            # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-encryption-event-bus-cmkey.html
            context = {"aws:sourceaccount": ACCOUNT, "aws:sourcearn": arn}
            context["kms:encryptioncontext:aws:events:event-bus:arn"] = arn
            kind, actions = "EventBridge keeps a bus's events", ("kms:DescribeKey", *SENDING)
            yield Use(kind=kind, where=where, who="events.amazonaws.com", actions=actions, context=context)


def _of_alarms(templates: Templates) -> Iterator[Use]:
    topics = {properties["TopicName"] for _, properties in resources(templates, "AWS::SNS::Topic")}
    for where, alarm in resources(templates, "AWS::CloudWatch::Alarm"):
        for topic in {*alarm.get("AlarmActions", []), *alarm.get("OKActions", [])}:
            assert topic.rpartition(":")[2] in topics
            context = {"aws:sourceaccount": ACCOUNT, "kms:encryptioncontext:aws:sns:topicarn": topic}
            # https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns
            yield Use(kind="An alarm notifies a topic", where=where, who="cloudwatch.amazonaws.com", context=context)


def _of_topics(templates: Templates) -> Iterator[Use]:
    """EventBridge names the topic in the encryption context, and no source account.

    https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html"""
    under_key = {
        f"arn:aws:sns:{REGION}:{ACCOUNT}:{topic['TopicName']}": topic
        for _, topic in resources(templates, "AWS::SNS::Topic")
        if topic.get("KmsMasterKeyId")
    }
    for where, rule in resources(templates, "AWS::Events::Rule"):
        for topic in {target["Arn"] for target in rule["Targets"] if isinstance(target["Arn"], str)} & under_key.keys():
            context = {"kms:encryptioncontext:aws:sns:topicarn": topic}
            yield Use(kind="EventBridge notifies a topic", where=where, who="events.amazonaws.com", context=context)
    for where, budget in resources(templates, "AWS::Budgets::Budget"):
        for one in budget["NotificationsWithSubscribers"]:
            for topic in {each["Address"] for each in one["Subscribers"]} & under_key.keys():
                # https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-sns-policy.html
                context = {"aws:sourceaccount": ACCOUNT, "kms:encryptioncontext:aws:sns:topicarn": topic}
                yield Use(kind="A budget notifies a topic", where=where, who="budgets.amazonaws.com", context=context)


def _of_logs(templates: Templates) -> Iterator[Use]:
    """CloudWatch Logs names the group in the encryption context, and no source account.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html"""
    for where, group in resources(templates, "AWS::Logs::LogGroup"):
        assert group.get("KmsKeyId"), where
        arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group['LogGroupName']}"
        kind, who = "CloudWatch keeps a log", f"logs.{REGION}.amazonaws.com"
        context = {"kms:encryptioncontext:aws:logs:arn": arn}
        actions = (*SENDING, "kms:Encrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:DescribeKey")
        yield Use(kind=kind, where=where, who=who, actions=actions, context=context)


def _of_trails(templates: Templates) -> Iterator[Use]:
    """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-kms-key-policy-for-cloudtrail.html"""
    for where, trail in resources(templates, "AWS::CloudTrail::Trail"):
        arn, who = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{trail['TrailName']}", "cloudtrail.amazonaws.com"
        context = {"aws:sourcearn": arn, "kms:encryptioncontext:aws:cloudtrail:arn": arn}
        yield Use(kind=TRAIL, where=where, who=who, actions=("kms:GenerateDataKey",), context=context)
        asked = ("kms:Decrypt", "kms:DescribeKey")
        yield Use(kind=TRAIL, where=where, who=who, actions=asked, context={"aws:sourcearn": arn})


TRAIL = "CloudTrail delivers a log"
"""In a stage like `prod`."""
KINDS = {
    "EventBridge sends to a queue",
    "EventBridge keeps a bus's events",
    "EventBridge notifies a topic",
    "An alarm notifies a topic",
    "A budget notifies a topic",
    "CloudWatch keeps a log",
}


def key_policy(templates: Templates) -> dict[str, Any]:
    """Of the customer key; the other one signs, and names what it is for."""
    (key,) = [one for _, one in resources(templates, "AWS::KMS::Key") if "KeyUsage" not in one]
    return dict(key["KeyPolicy"])


def refused(use: Use, key: Mapping[str, Any]) -> list[str]:
    """The actions that the use needs and that the key's policy does not allow."""
    context = {**dict.fromkeys(GLOBAL_KEYS, ()), **{name: (value,) for name, value in use.context.items()}}
    requests = [Request(action=one, resources=("*",), context=context, principal=(use.who,)) for one in use.actions]
    return [one.action for one in requests if verdict([json.dumps(key)], one, with_principal=True) != "Allow"]


@pytest.fixture(params=["dev", "prod"])
def stage(request: pytest.FixtureRequest, templates: dict[str, Templates]) -> Templates:
    found: Templates = templates[request.param]
    return found


def test_every_use_of_the_key_is_allowed(stage: Templates) -> None:
    found, key = list(uses(stage)), key_policy(stage)
    assert {use.kind for use in found} == KINDS | ({TRAIL} if "millrace-prod-audit" in stage else set())
    wrong = {(use.where, use.kind, use.who): less for use in found if (less := refused(use, key))}
    assert wrong == {}


def test_receivers_let_their_senders_in(stage: Templates) -> None:
    """The queue's and the topic's own policies, which are asked beside the key's."""
    policies = {
        json.dumps(reference): document["PolicyDocument"]
        for kind, key in (("AWS::SQS::QueuePolicy", "Queues"), ("AWS::SNS::TopicPolicy", "Topics"))
        for _, document in resources(stage, kind)
        for reference in document[key]
    }
    assert policies
    texts = [json.dumps(document) for document in policies.values()]
    for use in uses(stage):
        if use.who not in ("events.amazonaws.com", "cloudwatch.amazonaws.com") or "bus" in use.kind:
            continue
        arn = next(value for name, value in use.context.items() if name.startswith("kms:encryptioncontext:"))
        action = "sqs:SendMessage" if ":sqs:" in arn else "sns:Publish"
        context = {**dict.fromkeys(GLOBAL_KEYS, ()), "aws:sourceaccount": (ACCOUNT,), "aws:securetransport": ("true",)}
        topic = [text.replace('{"Ref": "Alarms"}', json.dumps(arn)) for text in texts]
        request = Request(action=action, resources=(arn,), context=context, principal=(use.who,))
        assert verdict(topic, request, with_principal=True) == "Allow", f"{use.where}: {use.kind}"


def test_every_type_under_the_key_is_looked_at(stage: Templates) -> None:
    """A new type must say who uses the key for it."""
    under_key = {
        resource["Type"]
        for template in stage.values()
        for resource in template["Resources"].values()
        if resource["Type"] not in ("AWS::IAM::Role", "AWS::KMS::Key")
        and any("kms" in name.lower() for name in _names(resource.get("Properties", {})))
    }
    looked_at = {"AWS::Events::EventBus", "AWS::Logs::LogGroup", "AWS::SNS::Topic", "AWS::SQS::Queue"}
    assert under_key - {"AWS::CloudTrail::Trail"} == looked_at | set(BY_THE_CALLER)


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from _names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _names(inner)


def test_what_aws_writes_to_a_bucket_lies_under_s3s_own_key(stage: Templates) -> None:
    """Access logs can be delivered to no other; flow logs go there too, without a word in the key's policy."""
    buckets = {properties["BucketName"]: properties for _, properties in resources(stage, "AWS::S3::Bucket")}
    written = {one["LoggingConfiguration"]["DestinationBucketName"] for one in buckets.values()
               if "LoggingConfiguration" in one}  # fmt: skip
    written |= {log["LogDestination"].rpartition(":")[2] for _, log in resources(stage, "AWS::EC2::FlowLog")}
    assert written
    for name in written:
        (rule,) = buckets[name]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_the_key_lets_in_only_services_of_this_account(stage: Templates) -> None:
    """The same requests from elsewhere: another account's source, another account's log."""
    key = key_policy(stage)
    for use in uses(stage):
        strange = {name: value.replace(ACCOUNT, "999999999999") for name, value in use.context.items()}
        foreign = Use(kind=use.kind, where=use.where, who=use.who, actions=use.actions, context=strange)
        assert refused(foreign, key) == list(use.actions), use.kind


def test_no_statement_of_the_key_is_spare(stage: Templates) -> None:
    """Without a statement, or a principal or action of it, some use is refused. The account's lets its roles in."""
    found, key = list(uses(stage)), key_policy(stage)
    for less, what in fewer(key):
        assert any(refused(use, less) for use in found), what


def fewer(key: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """The policy less one service or one action of one statement, and what was taken away."""
    for place, statement in enumerate(key["Statement"]):
        name = statement["Sid"]
        if "AWS" in statement["Principal"]:
            continue
        for part in ("Action", "Principal"):
            values = listed(statement["Action"] if part == "Action" else next(iter(statement["Principal"].values())))
            for value in values:
                less = copy.deepcopy(dict(key))
                left = [one for one in values if one != value]
                if not left:
                    del less["Statement"][place]
                elif part == "Action":
                    less["Statement"][place]["Action"] = left
                else:
                    less["Statement"][place]["Principal"] = {"Service": left}
                yield less, f"{name}: {part} {value}"
