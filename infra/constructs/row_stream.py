"""The stream that brings rows to decide: a Kinesis stream, and the function that decides its records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from millrace.infra.constructs.function import Function
from millrace.infra.constructs.queue import dead_letters
from millrace.infra.constructs.rule import Rule
from millrace.infra.context import Context
from millrace.infra.iam import queues
from millrace.infra.iam.buckets import keep_given_up
from millrace.infra.iam.resource import Statement, every, resource
from millrace.names import GIVEN_UP, ROWS
from millrace.operations.dead_letters import dead
from millrace.settings.prediction import StreamSettings

BATCH = 500
"""The most records of a call. Lambda's own limit of 6 MB may end a batch earlier."""
WINDOW_S = 1
AT_ONCE = 10
"""Calls at once for a shard. Records of one partition key keep their order.

https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html (ParallelizationFactor)"""
MOST_RETRIES = 10_000
"""Of a batch whose call fails; a batch is halved first, which counts as none. Lambda waits longer from try to try."""
OLDEST_S = 12 * 3600
"""A record that is older is given up. The stream keeps it for a day."""


class RowStream(Construct):
    """The stream `<prefix>-rows`, on demand. `more` goes to its function, which has these rights besides."""

    def __init__(
        self,
        scope: Construct,
        *,
        context: Context,
        decisions_queue_url: str,
        statements: Sequence[Statement],
        **more: Any,
    ) -> None:
        super().__init__(scope, "stream-of-rows")
        names = context.names
        stream = kinesis.CfnStream(
            self,
            "Resource",
            name=names.stream,
            stream_mode_details=kinesis.CfnStream.StreamModeDetailsProperty(stream_mode="ON_DEMAND"),
            stream_encryption=kinesis.CfnStream.StreamEncryptionProperty(encryption_type="KMS", key_id=context.key_arn),
        )
        landing = context.platform.bucket("landing")
        letters = dead_letters(self, ROWS, context=context, senders=["events.amazonaws.com"], has_rows=True)
        dead_arn, dead_name = names.queue_arn(dead(ROWS)), names.queue(dead(ROWS))
        function = Function(
            self,
            "stream",
            context=context,
            settings=StreamSettings(
                **context.environment(),
                decisions_queue_url=decisions_queue_url,
                dead_letters_url=context.platform.queue_url(dead_name),
            ),
            statements=[
                *read_stream(names.stream_arn),
                queues.send(dead_arn),
                *keep_given_up(context.platform),
                *statements,
            ],
            **more,
        )
        # A bucket gets the records that were given up themselves, a queue only their place.
        # https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
        mapping = lambda_.CfnEventSourceMapping(
            self,
            "Feed",
            function_name=function.arn,
            event_source_arn=stream.attr_arn,
            enabled=True,
            starting_position="TRIM_HORIZON",  # with LATEST, records that come while the poller starts would be missed
            batch_size=BATCH,
            parallelization_factor=AT_ONCE,
            maximum_batching_window_in_seconds=WINDOW_S,
            function_response_types=["ReportBatchItemFailures"],
            bisect_batch_on_function_error=True,
            maximum_retry_attempts=MOST_RETRIES,
            maximum_record_age_in_seconds=OLDEST_S,
            destination_config=lambda_.CfnEventSourceMapping.DestinationConfigProperty(
                on_failure=lambda_.CfnEventSourceMapping.OnFailureProperty(
                    destination=context.platform.bucket_arn("landing")
                )
            ),
        )
        mapping.add_resource_dependency(function.resource)
        # S3 tells of each object with such records, and the event is their dead letter.
        given_up = {"bucket": {"name": [landing]}, "object": {"key": [{"prefix": f"{GIVEN_UP}/{mapping.ref}/"}]}}
        pattern = {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": given_up}
        rule = Rule(self, "given-up", context=context, pattern=pattern, bus=None)
        rule.to_queue(dead_arn)
        rule.node.add_dependency(letters)


def read_stream(stream_arn: str) -> tuple[Statement, ...]:
    """What Lambda's poller needs to feed a function from the stream.

    https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html"""
    actions = ("DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards")
    return (
        resource("kinesis", stream_arn).may(*actions),
        every("kinesis", because="ListStreams takes no resource").may("ListStreams"),
    )
