"""Permissions that calls to queues, topics, buses and schedules require, customer keys included."""

from __future__ import annotations

from collections.abc import Iterator

from infra.local.iam.policies import Request
from infra.local.iam.required_permissions.permission import Asked, key_arn, need, resource_arn
from infra.local.kernel.cloud import ACCOUNT, REGION


def of_sqs(action: str, asked: Asked) -> Iterator[Request]:
    url, name = asked.get("QueueUrl"), asked.get("QueueName")
    operation = action.removesuffix("Batch")
    if not url and not name:
        yield need(operation)
        return
    yield from queue_needs(operation, name or url.rpartition("/")[2])


def queue_needs(action: str, queue: str) -> Iterator[Request]:
    """The action on the queue (`sqs:ReceiveMessage`), and what it asks of the queue's customer key."""
    from moto.sqs.models import sqs_backends

    yield need(action, resource_arn("sqs", queue))
    kept = sqs_backends[ACCOUNT][REGION].queues.get(queue)
    key = getattr(kept, "kms_master_key_id", None)
    if not key or key == "alias/aws/sqs":
        return
    via = {"kms:viaservice": (f"sqs.{REGION}.amazonaws.com",)}
    actions = {"sqs:SendMessage": ("GenerateDataKey", "Decrypt"), "sqs:ReceiveMessage": ("Decrypt",)}
    for name in actions.get(action, ()):
        yield Request(action=f"kms:{name}", resources=(key_arn(key),), context=via)


def of_sns(action: str, asked: Asked) -> Iterator[Request]:
    from moto.sns.models import sns_backends

    topic = asked.get("TopicArn", "TargetArn", "ResourceArn")
    if topic is None and asked.get("Name"):
        topic = resource_arn("sns", asked.get("Name"))
    if topic is None and asked.get("SubscriptionArn"):
        topic = asked.get("SubscriptionArn").rpartition(":")[0]
    yield need(action.removesuffix("Batch"), topic) if topic else need(action)
    kept = sns_backends[ACCOUNT][REGION].topics.get(topic)
    key = getattr(kept, "kms_master_key_id", None)
    if key and key != "alias/aws/sns" and action.startswith("sns:Publish"):
        via = {"kms:viaservice": (f"sns.{REGION}.amazonaws.com",)}
        for name in ("GenerateDataKey", "Decrypt"):
            yield Request(action=f"kms:{name}", resources=(key_arn(key),), context=via)


def of_events(action: str, asked: Asked) -> Iterator[Request]:
    if action == "events:PutEvents":
        for entry in asked.parameters.get("Entries") or []:
            bus = str(entry.get("EventBusName") or "default").rpartition("/")[2]
            own = {
                "events:source": (str(entry.get("Source", "")),),
                "events:detail-type": (str(entry.get("DetailType", "")),),
            }
            yield Request(action=action, resources=(resource_arn("events", f"event-bus/{bus}"),), context=own)
        return
    bus = str(asked.get("EventBusName") or "default").rpartition("/")[2]
    rule = asked.get("Rule") or (asked.get("Name") if "Rule" in action else None)
    if rule:
        yield need(action, resource_arn("events", f"rule/{rule}" if bus == "default" else f"rule/{bus}/{rule}"))
    elif "EventBus" in action:
        yield need(action, resource_arn("events", f"event-bus/{asked.get('Name') or bus}"))
    else:
        yield need(action)


def of_scheduler(action: str, asked: Asked) -> Iterator[Request]:
    group, name = asked.get("GroupName") or "default", asked.get("Name")
    schedule = resource_arn("scheduler", f"schedule/{group}/{name or '*'}")
    yield need(action, schedule)
    # https://docs.aws.amazon.com/scheduler/latest/UserGuide/security_iam_id-based-policies.html
    key = asked.get("KmsKeyArn")
    if key and action in ("scheduler:CreateSchedule", "scheduler:UpdateSchedule"):
        own = {
            "kms:viaservice": (f"scheduler.{REGION}.amazonaws.com",),
            "kms:encryptioncontext:aws:scheduler:schedule:arn": (schedule,),
        }
        for verb in ("DescribeKey", "GenerateDataKey", "Decrypt"):
            yield Request(action=f"kms:{verb}", resources=(key_arn(key),), context=own)
