"""The settings of an event source mapping that Lambda refuses together, or for its kind of source; moto takes them.

The range of each number by itself is in Lambda's API model.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html
https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OF_STREAMS = {
    *("BisectBatchOnFunctionError", "DestinationConfig", "MaximumRecordAgeInSeconds", "MaximumRetryAttempts"),
    *("ParallelizationFactor", "StartingPosition", "TumblingWindowInSeconds"),
}
OF_QUEUES = {"ScalingConfig"}


def why_refused(settings: Mapping[str, Any], function_timeout_s: int) -> str | None:
    """Why there is no mapping with these settings, in AWS's words where they are known; None if there may be one."""
    arn = str(settings["EventSourceArn"])
    is_queue = arn.split(":")[2] == "sqs"
    given = {name for name, value in settings.items() if value not in (None, "", {})}
    if foreign := sorted(given & (OF_STREAMS if is_queue else OF_QUEUES)):
        return f"Unsupported parameter for the event source {arn}: {', '.join(foreign)}"
    if is_queue:
        return _of_queue(arn, settings, function_timeout_s)
    if not settings.get("StartingPosition"):
        said = "Value null at 'startingPosition' failed to satisfy constraint: Member must not be null."
        return f"1 validation error detected: {said}"
    is_young = 0 <= int(settings.get("MaximumRecordAgeInSeconds", -1)) < 60
    return "MaximumRecordAgeInSeconds must be -1, or 60 at least" if is_young else None


def _of_queue(arn: str, settings: Mapping[str, Any], function_timeout_s: int) -> str | None:
    from moto.sqs.models import sqs_backends

    window_s = int(settings.get("MaximumBatchingWindowInSeconds") or 0)
    if window_s and arn.endswith(".fifo"):
        return "Batching window is not supported for FIFO queues"
    if int(settings.get("BatchSize") or 0) > 10 and not window_s:
        return "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
    _, _, _, region, account, name = arn.split(":")
    queue: Any = sqs_backends[account][region].queues.get(name)
    if queue is None or queue.visibility_timeout >= function_timeout_s:
        return None
    visible = f"Queue visibility timeout: {queue.visibility_timeout} seconds"
    return f"{visible} is less than Function timeout: {function_timeout_s} seconds"
