"""How many messages an SQS queue holds."""

from __future__ import annotations

from typing import Any

COUNTERS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
)
"""The attributes that count messages: to be received, delayed, and received but not deleted yet.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html"""


def queue_length(sqs: Any, url: str) -> int:
    """The approximate number of messages: SQS counts with a delay of a minute. `sqs` is boto3's client."""
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=COUNTERS)["Attributes"]
    return sum(int(found.get(name, 0)) for name in COUNTERS)
