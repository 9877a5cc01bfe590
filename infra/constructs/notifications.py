"""The topic of alarms: its publishers, its receivers, and the events that are sent to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import aws_events as events
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from millrace.infra.constructs.acknowledgement import acknowledge
from millrace.infra.constructs.alarm import Alarm
from millrace.infra.constructs.api_destination import ApiDestination, secret_text
from millrace.infra.constructs.queue import UNDER_ITS_OWN, WITHOUT_KEY, named_queue
from millrace.infra.constructs.rule import target
from millrace.infra.iam.resource import let, policy, refuse_without_tls
from millrace.infra.settings import StageSettings
from millrace.monitoring.alarms import notifying
from millrace.operations.alarms import COMPOSITE, SERVING, STAGE_ALARMS, UNDELIVERED, runbook
from millrace.operations.dead_letters import EVENTS, dead
from millrace.operations.notices import NOTICES, RAISED, Notice

NOTIFYING = (*notifying(), *(name for name in STAGE_ALARMS if name != UNDELIVERED))
"""The alarms that a rule tells of by their own description. SERVING speaks for those of an endpoint."""


CHAT_ALONE = "raised-undelivered"
"""The rule that tells of UNDELIVERED: the chat, since CloudWatch itself tells the topic."""


def alarm_notices() -> dict[str, Notice]:
    """The notices of alarms that are raised or over, by the name of their rule.

    CloudWatch guarantees these events. That of a composite alarm has no description, so its rule has one:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html"""
    serving = f"{COMPOSITE.description} ({COMPOSITE.severity}; {runbook(SERVING)})"
    of_composite, raised = {"alarm": "$.detail.alarmName"}, {"state": {"value": ["ALARM"]}}
    of_others = {**of_composite, "description": "$.detail.configuration.description"}
    # A new alarm goes to OK as well, from INSUFFICIENT_DATA.
    over = {"state": {"value": ["OK"]}, "previousState": {"value": ["ALARM"]}}

    def notice(alarms: Sequence[str], paths: Mapping[str, str], sentence: str, states: dict[str, Any]) -> Notice:
        return Notice(
            severity="look",
            description="an alarm that notifies was raised, or is over",
            pattern=lambda names: {
                "source": ["aws.cloudwatch"],
                "detail-type": ["CloudWatch Alarm State Change"],
                "resources": [{"prefix": names.arn("cloudwatch", f"alarm:{names.prefix}-")}],
                "detail": {"alarmName": [{"suffix": f"-{one}"} for one in alarms], **states},
            },
            is_ours=False,
            paths=paths,
            sentence=sentence,
        )

    return {
        RAISED: notice(NOTIFYING, of_others, "ALARM <alarm>: <description>", raised),
        "ended-alarm": notice(NOTIFYING, of_others, "OVER <alarm>: <description>", over),
        "raised-serving": notice([SERVING], of_composite, f"ALARM <alarm>: {serving}", raised),
        CHAT_ALONE: notice([UNDELIVERED], of_others, "ALARM <alarm>: <description>", raised),
        "ended-serving": notice([SERVING], of_composite, f"OVER <alarm>: {serving}", over),
    }


class Notifications(Construct):
    """One topic for all workloads of the stage. Each message names its workload."""

    def __init__(self, scope: Construct, *, settings: StageSettings, key_arn: str, bus: events.CfnEventBus) -> None:
        super().__init__(scope, "notifications")
        self._names = settings.platform
        self._topic = sns.CfnTopic(self, "Topic", topic_name=self._names.alarm_topic, kms_master_key_id=key_arn)
        publishers = self._publishers()
        # Deployed stages have these logical ids. Under another id CloudFormation would make a second topic of the name.
        self._topic.override_logical_id("Alarms")
        publishers.override_logical_id("AlarmsPolicy")
        if settings.alarm_email:
            email = sns.CfnSubscription(
                self, "Email", topic_arn=self._topic.ref, protocol="email", endpoint=settings.alarm_email
            )
            # https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
            tried = (
                "SNS tries a mail 50 times in 6 hours; of a queue of those it gave up people would hear by such a mail"
            )
            acknowledge(email, {"Serverless-SNSRedrivePolicy": tried})
        # A rule must not send before the topic takes its messages, the queue takes what fails, and the bus is there.
        undelivered = self._undelivered()
        bus.add_resource_dependency(undelivered)
        # The URL of a chat is its credential. Slack takes one call a second.
        url = settings.options.alarm_webhook
        self._webhook = (
            ApiDestination(self, "webhook", settings=settings, url=secret_text(url), per_second=1) if url else None
        )
        for name, notice in (NOTICES | alarm_notices()).items():
            if name == CHAT_ALONE and self._webhook is None:
                continue
            rule = self._rule(name, notice, notice.line(name) if name in NOTICES else notice.sentence)
            for needed in (publishers, undelivered, *([bus] if notice.is_ours else [])):
                rule.add_resource_dependency(needed)
        for name, alarm in STAGE_ALARMS.items():
            Alarm(
                self,
                name,
                alarm,
                alarm_name=self._names.alarm(name),
                about=f"stage {self._names.stage}",
                metrics=alarm.metrics(self._names),
                threshold=alarm.threshold,
                # CloudWatch itself tells of events that no rule could deliver: a rule's own might be among them.
                topic_arn=self._names.alarm_topic_arn if name == UNDELIVERED else "",
            )

    def _publishers(self) -> sns.CfnTopicPolicy:
        """The topic's policy: CloudWatch, Budgets and EventBridge publish, and nobody without TLS."""
        account, topic, publish = self._names.account, self._topic.ref, "sns:Publish"
        ours = {"StringEquals": {"aws:SourceAccount": account}}
        # https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-sns-policy.html
        budgets = f"arn:{self._names.partition}:budgets::{account}:*"
        of_budgets = {**ours, "ArnLike": {"aws:SourceArn": budgets}}
        return sns.CfnTopicPolicy(
            self,
            "Publishers",
            topics=[topic],
            policy_document=policy(
                [
                    let("cloudwatch.amazonaws.com", publish, topic, where=ours),
                    let("budgets.amazonaws.com", publish, topic, where=of_budgets),
                    # No condition: "You can't use Condition blocks in Amazon SNS topic policies for EventBridge".
                    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sns-permissions
                    let("events.amazonaws.com", publish, topic),
                    refuse_without_tls(publish, topic),
                ]
            ),
        )

    def _undelivered(self) -> sqs.CfnQueue:
        """The queue for events of all workloads that EventBridge, Scheduler or Lambda could not deliver."""
        name, senders = self._names.queue(dead(EVENTS)), ["events.amazonaws.com"]
        queue = named_queue(self, "Undelivered", name, self._names, senders, **WITHOUT_KEY)
        acknowledge(
            queue,
            UNDER_ITS_OWN
            | {
                "Serverless-SQSRedrivePolicy": "It keeps what could not be delivered, for people",
                "AwsSolutions-SQS3": "It is itself the dead-letter queue of rules; no function reads it",
            },
        )
        return queue

    def _rule(self, name: str, notice: Notice, sentence: str) -> events.CfnRule:
        targets = [self._topic_target(notice, sentence)] if name != CHAT_ALONE else []
        return events.CfnRule(
            self,
            f"{name}-rule",
            name=self._names.rule(name),
            description=notice.description,
            event_bus_name=self._names.bus if notice.is_ours else None,
            event_pattern=notice.pattern(self._names),
            state="ENABLED",
            targets=[*targets, *([self._webhook.target(notice.paths, {"text": sentence})] if self._webhook else [])],
        )

    def _topic_target(self, notice: Notice, sentence: str) -> events.CfnRule.TargetProperty:
        return target(
            "topic",
            self._names.alarm_topic_arn,
            dead_arn=self._names.arn("sqs", self._names.queue(dead(EVENTS))),
            input_transformer=events.CfnRule.InputTransformerProperty(
                input_paths_map=dict(notice.paths),
                # A JSON text: a placeholder within quotes is filled in as plain text.
                input_template=json.dumps(sentence),
            ),
        )
