"""`make logs`: gives SageMaker's log groups of jobs a retention, the longest of all stages of the account.

SageMaker writes the lines of all jobs of an account and region into three log groups. It makes them itself, and keeps
their lines for ever. They belong to no stage, so they can be in no template: in a second stage, or in an account where
a job ran before, their names would be taken. They are under the key of CloudWatch Logs: the key of a stage goes with
it. https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html"""

from __future__ import annotations

import argparse
from typing import Any

from millrace.infra.options import declared_options
from millrace.infra.settings import settings_for
from millrace.names import JOB_LOGS


def settle(logs: Any, *, retention_days: int) -> list[str]:
    """Make the missing groups, and keep no group for a shorter time; one sentence for each group that changed.

    `logs` is boto3's client of CloudWatch Logs."""
    done = []
    for group in JOB_LOGS:
        found = _found(logs, group)
        if found is None:
            logs.create_log_group(logGroupName=group)
        if (found or {}).get("retentionInDays", 0) < retention_days:
            logs.put_retention_policy(logGroupName=group, retentionInDays=retention_days)
            done.append(f"{group}: kept for {retention_days} days")
    return done


def _found(logs: Any, group: str) -> dict[str, Any] | None:
    # The API finds groups by the beginning of their name, so others may come as well.
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=group)
    return next((one for page in pages for one in page["logGroups"] if one["logGroupName"] == group), None)


def run(stage: str) -> list[str]:
    """Settle the groups for the stage; one sentence for each group that changed.

    Account and region are those of the caller's credentials."""
    import boto3

    account, region = boto3.client("sts").get_caller_identity()["Account"], boto3.session.Session().region_name
    settings = settings_for(stage, account=account, region=region, options=declared_options(stage))
    return settle(boto3.client("logs"), retention_days=settings.log_retention_days)


def main() -> None:
    """Settle the groups for the named stage and print what changed."""
    parser = argparse.ArgumentParser(prog="python -m millrace.infra.job_logs", description=__doc__)
    parser.add_argument("--stage", required=True)
    for sentence in run(parser.parse_args().stage):
        print(sentence)


if __name__ == "__main__":
    main()
