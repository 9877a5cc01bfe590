"""Rights on Spark jobs in EMR Serverless, and on what they are planned by."""

from __future__ import annotations

from dataclasses import replace

from millrace.infra.iam.buckets import LAKE
from millrace.infra.iam.iceberg import tables
from millrace.infra.iam.resource import Statement, resource
from millrace.infra.iam.sagemaker_jobs import pass_roles
from millrace.infra.iam.step_functions import wait_for
from millrace.names import BULK, WorkloadNames

LATER = "<Spark.ApplicationId>"
"""What stands in a finding for the id of an application of this stack, which is known at deployment."""


def plan(names: WorkloadNames) -> list[Statement]:
    """Find the table of rows, or make it if nobody has, and read it; nothing can be committed to it."""
    table = f"iceberg/{names.table('rows')}"
    metadata = LAKE.arn(names, f"{table}/metadata/*")
    return [
        tables(names, "rows").may("CreateTable", "GetTable"),
        resource("s3", metadata, because="pyiceberg names the metadata by a UUID").may("PutObject"),
        LAKE.read(names, "staging", table),
        LAKE.find(names, "staging"),
    ]


def run(names: WorkloadNames, application: str) -> list[Statement]:
    """The rights that a machine needs to run jobs of this application under the role of BULK.

    https://docs.aws.amazon.com/step-functions/latest/dg/emr-serverless-iam.html"""
    arn, why = names.platform.arn("emr-serverless", f"/applications/{application}"), "EMR names each run"
    runs = resource("emr-serverless", f"{arn}/jobruns/*", because=why).may("CancelJobRun", "GetJobRun", "TagResource")
    return [
        resource("emr-serverless", arn).may("StartJobRun"),
        replace(runs, reasons={f"{names.platform.arn('emr-serverless', f'/applications/{LATER}')}/jobruns/*": why}),
        wait_for(names, "EMRServerlessJob"),
        pass_roles(names, BULK, to="emr-serverless.amazonaws.com"),
    ]
