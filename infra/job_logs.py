"""`make logs`: gives SageMaker's log groups of jobs a retention and the stage's key.

SageMaker writes the lines of all jobs of an account and region into three log groups. It makes them itself, without a
key, and keeps their lines for ever. They belong to no stage, so they can be in no template: in a second stage, or in an
account where a job ran before, their names would be taken. Settings that somebody has made already stay as they are.
https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html"""

from __future__ import annotations

import argparse
from typing import Any

from infra.context import REPOSITORY
from infra.options import declared_options
from infra.settings import settings_for
from millrace.names import JOB_LOGS


def settle(logs: Any, *, key_arn: str, retention_days: int) -> list[str]:
    """Make the missing groups and set what is not set; one sentence for each group that changed.

    `logs` is boto3's client of CloudWatch Logs."""
    done = []
    for group in JOB_LOGS:
        # The key: given to a new group, added to a group without one, and otherwise left. The retention likewise.
        found = _found(logs, group)
        if found is None:
            logs.create_log_group(logGroupName=group, kmsKeyId=key_arn)
            changes = [f"made under {key_arn}"]
        elif "kmsKeyId" not in found:
            logs.associate_kms_key(logGroupName=group, kmsKeyId=key_arn)
            changes = [f"under {key_arn}"]
        else:
            changes = []
        if not (found or {}).get("retentionInDays"):
            logs.put_retention_policy(logGroupName=group, retentionInDays=retention_days)
            changes.append(f"kept for {retention_days} days")
        if changes:
            done.append(f"{group}: {', '.join(changes)}")
    return done


def _found(logs: Any, group: str) -> dict[str, Any] | None:
    # The API finds groups by the beginning of their name, so others may come as well.
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=group)
    return next((one for page in pages for one in page["logGroups"] if one["logGroupName"] == group), None)


def run(stage: str) -> list[str]:
    """Settle the groups for the stage; one sentence for each group that changed.

    Account and region are those of the caller's credentials. The platform's stack must be deployed, as it publishes the
    key."""
    import boto3

    account, region = boto3.client("sts").get_caller_identity()["Account"], boto3.session.Session().region_name
    options = declared_options(REPOSITORY, stage)
    settings = settings_for(stage, account=account, region=region, options=options)
    named = boto3.client("ssm").get_parameter(Name=settings.platform.parameter("key-arn"))
    key_arn = named["Parameter"]["Value"]
    return settle(boto3.client("logs"), key_arn=key_arn, retention_days=settings.log_retention_days)


def main() -> None:
    """Settle the groups for the named stage and print what changed."""
    parser = argparse.ArgumentParser(prog="python -m infra.job_logs", description=__doc__)
    parser.add_argument("--stage", required=True)
    for sentence in run(parser.parse_args().stage):
        print(sentence)


if __name__ == "__main__":
    main()
