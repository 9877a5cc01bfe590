"""Queues, topics, buses, rules, schedules and streams.

A stage that has an address for its alarms subscribes this address to its topic. People add further subscriptions.
"""

from __future__ import annotations

import json

from localcloud.cloudformation.resources.kind import Kind, Made, Wanted, arn, as_text, dropped, named


def _attributes(wanted: Wanted, *without: str) -> dict[str, str]:
    """The other properties as the services take them."""
    return {key: as_text(value) for key, value in wanted.rest(*without).items()}


def _put_queue(wanted: Wanted) -> Made:
    name = wanted.name("QueueName", longest=80)
    attributes = _attributes(wanted, "QueueName", "Tags")
    if wanted.before is None:
        url = wanted.call("sqs", "CreateQueue", QueueName=name, Attributes=attributes, **wanted.get("Tags"))["QueueUrl"]
    else:
        url = wanted.before.ref
        wanted.call("sqs", "SetQueueAttributes", QueueUrl=url, Attributes=attributes)
    made_of = {"Arn": arn("sqs", wanted, name), "QueueName": name, "QueueUrl": url}
    return Made(ref=url, attributes=made_of)


def _put_queue_policy(wanted: Wanted) -> Made:
    policy = {"Policy": json.dumps(wanted.properties["PolicyDocument"])}
    for url in wanted.properties["Queues"]:
        wanted.call("sqs", "SetQueueAttributes", QueueUrl=url, Attributes=policy)
    return Made(ref=wanted.name("", longest=80))


def _put_topic(wanted: Wanted) -> Made:
    name = wanted.name("TopicName", longest=256)
    attributes = _attributes(wanted, "TopicName", "Tags", "Subscription")
    topic = arn("sns", wanted, name)
    if wanted.before is None:
        wanted.call("sns", "CreateTopic", Name=name, Attributes=attributes, **wanted.get("Tags"))
        for subscription in wanted.properties.get("Subscription", []):
            wanted.call("sns", "Subscribe", TopicArn=topic, **subscription)
    else:
        for key, value in attributes.items():
            wanted.call("sns", "SetTopicAttributes", TopicArn=topic, AttributeName=key, AttributeValue=value)
    return Made(ref=topic, attributes={"TopicArn": topic, "TopicName": name})


def _put_topic_policy(wanted: Wanted) -> Made:
    policy = json.dumps(wanted.properties["PolicyDocument"])
    for topic in wanted.properties["Topics"]:
        wanted.call("sns", "SetTopicAttributes", TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
    return Made(ref=wanted.name("", longest=80))


def _put_subscription(wanted: Wanted) -> Made:
    attributes = _attributes(wanted, "TopicArn", "Protocol", "Endpoint", "Region")
    if wanted.before is None:
        target = wanted.get("TopicArn", "Protocol", "Endpoint")
        made = wanted.call("sns", "Subscribe", Attributes=attributes, ReturnSubscriptionArn=True, **target)
        return Made(ref=made["SubscriptionArn"], attributes={"Arn": made["SubscriptionArn"]})
    own = wanted.before.ref
    for key, value in attributes.items():
        wanted.call("sns", "SetSubscriptionAttributes", SubscriptionArn=own, AttributeName=key, AttributeValue=value)
    return Made(ref=own, attributes={"Arn": own})


def _put_bus(wanted: Wanted) -> Made:
    name = wanted.properties["Name"]
    without = ("Policy",) if wanted.before is None else ("Policy", "Tags")
    if wanted.before is None or wanted.changed("Description", "KmsKeyIdentifier", "DeadLetterConfig"):
        wanted.settle("events", "EventBus", **wanted.rest(*without))
    if "Policy" in wanted.properties:
        wanted.call("events", "PutPermission", EventBusName=name, Policy=json.dumps(wanted.properties["Policy"]))
    return Made(ref=name, attributes={"Arn": arn("events", wanted, f"event-bus/{name}"), "Name": name})


def _put_rule(wanted: Wanted) -> Made:
    name = wanted.name("Name")
    bus = str(wanted.properties.get("EventBusName", "default")).rpartition("/")[2]
    pattern = wanted.properties.get("EventPattern")
    settings = wanted.rest("Name", "EventBusName", "EventPattern", "Targets", *(["Tags"] if wanted.before else []))
    document = json.dumps(pattern) if pattern is not None else None
    rule = wanted.call("events", "PutRule", Name=name, EventBusName=bus, EventPattern=document, **settings)
    # PutTargets only adds and replaces. Targets that the template no longer has are removed by their ids.
    targets = wanted.properties.get("Targets", [])
    kept = {target["Id"] for target in targets}
    gone = [one["Id"] for one in (wanted.before.properties.get("Targets", []) if wanted.before else [])]
    if left := [target for target in gone if target not in kept]:
        wanted.call("events", "RemoveTargets", Rule=name, EventBusName=bus, Ids=left)
    if targets:
        wanted.call("events", "PutTargets", Rule=name, EventBusName=bus, Targets=targets)
    # `Ref` of a rule on a bus of its own has the bus too, as on AWS.
    ref = name if bus == "default" else f"{bus}|{name}"
    return Made(ref=ref, attributes={"Arn": rule["RuleArn"]})


def _drop_rule(wanted: Wanted, made: Made) -> None:
    bus, _, name = made.ref.rpartition("|")
    place = {"EventBusName": bus or "default"}
    # A rule with targets cannot be deleted.
    if targets := [target["Id"] for target in made.properties.get("Targets", [])]:
        wanted.call("events", "RemoveTargets", Rule=name, Ids=targets, **place)
    wanted.call("events", "DeleteRule", Name=name, **place)


def _put_stream(wanted: Wanted) -> Made:
    """A stream on demand under a customer key. Other properties than these are refused: nothing here would do them."""
    name, own = wanted.name("Name", longest=128), ("Name", "StreamModeDetails", "StreamEncryption", "Tags")
    if unknown := wanted.rest(*own):
        raise ValueError(f"AWS::Kinesis::Stream: the local cloud does not know {sorted(unknown)}")
    if wanted.before is None:
        wanted.call("kinesis", "CreateStream", StreamName=name, **wanted.get("StreamModeDetails"))
        if tags := wanted.properties.get("Tags"):
            wanted.call("kinesis", "AddTagsToStream", StreamName=name, Tags=tags)
    if encryption := wanted.properties.get("StreamEncryption"):
        wanted.call("kinesis", "StartStreamEncryption", StreamName=name, **encryption)
    return Made(ref=name, attributes={"Arn": arn("kinesis", wanted, f"stream/{name}")})


KINDS = {
    "AWS::Events::ApiDestination": named("events", "ApiDestination", "Name"),
    "AWS::Events::Connection": named("events", "Connection", "Name"),
    "AWS::Kinesis::Stream": dropped(_put_stream, "kinesis:DeleteStream", "StreamName", "Name"),
    "AWS::SQS::Queue": dropped(_put_queue, "sqs:DeleteQueue", "QueueUrl", "QueueName", "FifoQueue"),
    "AWS::SQS::QueuePolicy": Kind(put=_put_queue_policy, fixed=("Queues",)),
    "AWS::SNS::Topic": dropped(_put_topic, "sns:DeleteTopic", "TopicArn", "TopicName", "FifoTopic"),
    "AWS::SNS::TopicPolicy": Kind(put=_put_topic_policy, fixed=("Topics",)),
    "AWS::SNS::Subscription": dropped(
        _put_subscription, "sns:Unsubscribe", "SubscriptionArn", "TopicArn", "Protocol", "Endpoint"
    ),
    "AWS::Events::EventBus": dropped(_put_bus, "events:DeleteEventBus", "Name", "Name"),
    "AWS::Events::Rule": Kind(put=_put_rule, drop=_drop_rule, fixed=("Name", "EventBusName")),
    "AWS::Scheduler::Schedule": named("scheduler", "Schedule", "Name", beside=("GroupName",)),
}
