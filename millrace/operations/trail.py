"""The names of the trail of who read which object, and of the folder in the bucket `audit` that has its files."""

from __future__ import annotations

from millrace.names import Platform

AWS_LOGS = "AWSLogs"
"""The folder below which AWS's services write their logs into a bucket. No workload has capital letters in its name."""


def trail_arn(platform: Platform) -> str:
    """The trail's ARN, which ends with its name."""
    return platform.arn("cloudtrail", f"trail/{platform.prefix}-access")


def trail_logs(platform: Platform) -> str:
    """The folder in which CloudTrail writes the trail's files, below the day of each."""
    return f"{AWS_LOGS}/{platform.account}/CloudTrail/{platform.region}"
