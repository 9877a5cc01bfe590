"""A queue under the customer key, with its dead-letter queue."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from millrace.infra.constructs.acknowledgement import acknowledge
from millrace.infra.constructs.function import Function
from millrace.infra.context import Context
from millrace.infra.iam.resource import let, policy, refuse_without_tls
from millrace.names import Platform

RETENTION_S = 14 * 24 * 3600
"""SQS's longest retention, in seconds. So there is as much time for a redrive."""
WITHOUT_KEY: dict[str, object] = {"sqs_managed_sse_enabled": True}
"""The encryption of queues for what EventBridge could not deliver, as the reason may be the customer key itself.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-encryption-event-bus-dlq.html"""
UNDER_ITS_OWN = {
    "CKV_AWS_27": "It is encrypted under a key of SQS's own: what could not use the customer key has to arrive here"
}
NO_DESTINATION = "Lambda takes no failure destination for a queue: what fails goes to the queue's own dead letters"


class Queue(Construct):
    """The queues `<workload prefix>-<name>` and `…-<name>-dead`.

    After `receives` deliveries a message goes to the dead letters. `senders` are service principals that may send. They
    send to the dead letters what they may not send to the queue: also if they may not use the key, so with `senders`
    the dead letters are under a key of SQS's own. What SQS moves there stays under the key.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-server-side-encryption.html"""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        context: Context,
        visibility_s: int,
        receives: int = 5,
        senders: Sequence[str] = (),
    ) -> None:
        super().__init__(scope, f"{name}-queue")
        self.name = context.names.queue(name)
        self.arn = context.names.queue_arn(name)
        self.url = context.platform.queue_url(self.name)
        self.dead_arn = context.names.queue_arn(f"{name}-dead")
        dead = dead_letters(self, name, context=context, senders=senders)
        self.resource = named_queue(
            self,
            "Resource",
            self.name,
            context.platform,
            senders,
            kms_master_key_id=context.key_arn,
            visibility_timeout=visibility_s,
            redrive_policy={"deadLetterTargetArn": self.dead_arn, "maxReceiveCount": receives},
        )
        self.resource.add_resource_dependency(dead)


def dead_letters(
    scope: Construct, name: str, *, context: Context, senders: Sequence[str] = (), has_rows: bool = False
) -> sqs.CfnQueue:
    """Make the queue `<workload prefix>-<name>-dead`; `senders` as `Queue` has them.

    With `has_rows` it is under the customer key in any case."""
    is_without_key = bool(senders) and not has_rows
    encryption = WITHOUT_KEY if is_without_key else {"kms_master_key_id": context.key_arn}
    queue = named_queue(scope, "Dead", context.names.queue(f"{name}-dead"), context.platform, senders, **encryption)
    kept = {"Serverless-SQSRedrivePolicy": f"It keeps the dead letters of {name}; people redrive them"}
    acknowledge(queue, kept | (UNDER_ITS_OWN if is_without_key else {}))
    return queue


def named_queue(
    scope: Construct, construct_id: str, name: str, platform: Platform, senders: Sequence[str], **properties: object
) -> sqs.CfnQueue:
    """Make the queue of this whole name, into which these service principals may send."""
    arn = platform.arn("sqs", name)
    queue = sqs.CfnQueue(
        scope,
        construct_id,
        queue_name=name,
        message_retention_period=RETENTION_S,
        **properties,  # type: ignore[arg-type]
    )
    # Roles say who may use the queue. Its policy refuses calls without TLS, and lets services send.
    statements = [refuse_without_tls("sqs:*", arn)]
    if senders:
        ours = {"StringEquals": {"aws:SourceAccount": platform.account}}
        statements.append(let(list(senders), "sqs:SendMessage", arn, where=ours))
    sqs.CfnQueuePolicy(scope, f"{construct_id}Policy", queues=[queue.ref], policy_document=policy(statements))
    return queue


def feed(
    scope: Construct,
    queue: Queue,
    function: Function,
    *,
    batch: int,
    window_s: int,
    concurrency: int,
) -> None:
    """Let the queue call the function, with partial batch failures.

    At most `concurrency` calls run at once, which reserves no concurrency of the account. Without a window each has 10
    messages at most."""
    mapping = lambda_.CfnEventSourceMapping(
        scope,
        "Feed",
        function_name=function.arn,
        event_source_arn=queue.resource.attr_arn,
        enabled=True,  # said, so that CloudFormation sees it where somebody switches the mapping off
        batch_size=batch if window_s else min(batch, 10),
        maximum_batching_window_in_seconds=window_s,
        function_response_types=["ReportBatchItemFailures"],
        scaling_config=lambda_.CfnEventSourceMapping.ScalingConfigProperty(maximum_concurrency=concurrency),
    )
    acknowledge(mapping, {"Serverless-LambdaEventSourceMappingDestination": NO_DESTINATION})
    mapping.add_resource_dependency(function.resource)
