"""The permissions that calls to queues, topics, buses and schedules require, those on customer keys included."""

from __future__ import annotations

from collections.abc import Iterator

from localcloud.iam.policies import Request
from localcloud.iam.required_permissions.permission import ParsedCall, key_permissions, permission, resource_arn
from localcloud.kernel.cloud import moto_backend


def of_sqs(action: str, parsed: ParsedCall) -> Iterator[Request]:
    """A batch needs the action of a single message. A move of dead letters names its queue as `SourceArn`."""
    url, name = parsed.get("QueueUrl"), parsed.get("QueueName")
    operation = action.removesuffix("Batch")
    if source := parsed.get("SourceArn"):
        yield permission(operation, source)
        return
    if not url and not name:
        yield permission(operation)
        return
    yield from queue_permissions(operation, name or url.rpartition("/")[2])


def queue_permissions(action: str, queue: str) -> Iterator[Request]:
    """The action on the queue (`sqs:ReceiveMessage`), and the actions on the queue's customer key that it needs."""
    # SQS calls KMS in the name of whoever sends or receives. AWS documents both actions for senders.
    yield permission(action, resource_arn("sqs", queue))
    kept = moto_backend("sqs").queues.get(queue)
    key = getattr(kept, "kms_master_key_id", None)
    actions = {"sqs:SendMessage": ("GenerateDataKey", "Decrypt"), "sqs:ReceiveMessage": ("Decrypt",)}
    if key and key != "alias/aws/sqs":
        yield from key_permissions(key, "sqs", *actions.get(action, ()))


def of_sns(action: str, parsed: ParsedCall) -> Iterator[Request]:
    """The action on the topic, and for Publish the actions on the topic's customer key."""
    # A call names its topic in one of five parameters. A subscription's ARN is that of its topic with an id behind it.
    topic = parsed.get("TopicArn", "TargetArn", "ResourceArn")
    if topic is None and parsed.get("Name"):
        topic = resource_arn("sns", parsed.get("Name"))
    if topic is None and parsed.get("SubscriptionArn"):
        topic = parsed.get("SubscriptionArn").rpartition(":")[0]
    yield permission(action.removesuffix("Batch"), topic) if topic else permission(action)
    kept = moto_backend("sns").topics.get(topic)
    key = getattr(kept, "kms_master_key_id", None)
    if key and key != "alias/aws/sns" and action.startswith("sns:Publish"):
        yield from key_permissions(key, "sns", "GenerateDataKey", "Decrypt")


def of_events(action: str, parsed: ParsedCall) -> Iterator[Request]:
    """PutEvents needs a permission for each entry, with the entry's own source and detail type as condition values."""
    if action == "events:PutEvents":
        for entry in parsed.parameters.get("Entries") or []:
            bus = str(entry.get("EventBusName") or "default").rpartition("/")[2]
            own = {
                "events:source": (str(entry.get("Source", "")),),
                "events:detail-type": (str(entry.get("DetailType", "")),),
            }
            yield Request(action=action, resources=(resource_arn("events", f"event-bus/{bus}"),), context=own)
        return
    bus = str(parsed.get("EventBusName") or "default").rpartition("/")[2]
    rule = parsed.get("Rule") or (parsed.get("Name") if "Rule" in action else None)
    if rule:
        yield permission(action, resource_arn("events", f"rule/{rule}" if bus == "default" else f"rule/{bus}/{rule}"))
    elif "EventBus" in action:
        yield permission(action, resource_arn("events", f"event-bus/{parsed.get('Name') or bus}"))
    else:
        yield permission(action)


def of_scheduler(action: str, parsed: ParsedCall) -> Iterator[Request]:
    """The action on the schedule, and for a schedule that is made or changed the actions on its customer key."""
    group, name = parsed.get("GroupName") or "default", parsed.get("Name")
    schedule = resource_arn("scheduler", f"schedule/{group}/{name or '*'}")
    yield permission(action, schedule)
    # https://docs.aws.amazon.com/scheduler/latest/UserGuide/security_iam_id-based-policies.html
    key = parsed.get("KmsKeyArn")
    if key and action in ("scheduler:CreateSchedule", "scheduler:UpdateSchedule"):
        own = {"kms:encryptioncontext:aws:scheduler:schedule:arn": (schedule,)}
        yield from key_permissions(key, "scheduler", "DescribeKey", "GenerateDataKey", "Decrypt", context=own)
