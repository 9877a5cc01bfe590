"""The log group of a function, a machine or an endpoint, under the stage's key and with the stage's retention."""

from __future__ import annotations

from aws_cdk import aws_logs as logs
from constructs import Construct

from millrace.infra.context import Owner


def log_group(scope: Construct, construct_id: str, *, name: str, owner: Owner) -> logs.CfnLogGroup:
    """The log group `name`, with the key and the retention of its owner's stage."""
    return logs.CfnLogGroup(
        scope,
        construct_id,
        log_group_name=name,
        retention_in_days=owner.settings.log_retention_days,
        kms_key_id=owner.key_arn,
    )
