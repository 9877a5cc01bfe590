"""Rights on Kinesis streams."""

from __future__ import annotations

from millrace.infra.iam.resource import Statement, every, resource


def read(stream_arn: str) -> tuple[Statement, ...]:
    """What Lambda's poller needs to feed a function from the stream.

    https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html"""
    actions = ("DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards")
    return (
        resource("kinesis", stream_arn).may(*actions),
        every("kinesis", because="ListStreams takes no resource").may("ListStreams"),
    )
