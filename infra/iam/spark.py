"""Rights on Spark jobs in EMR Serverless, and on what they are planned by."""

from __future__ import annotations

from dataclasses import replace

from millrace.infra.iam.buckets import LAKE
from millrace.infra.iam.iceberg import tables
from millrace.infra.iam.resource import Statement, resource
from millrace.infra.iam.sagemaker_jobs import pass_roles
from millrace.infra.iam.step_functions import wait_for
from millrace.names import BULK, WorkloadNames

RUNS = "EMR Serverless names each run of a job when it begins"


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
    arn = names.platform.arn("emr-serverless", f"/applications/{application}")
    runs = resource("emr-serverless", f"{arn}/jobruns/*", because=RUNS).may("CancelJobRun", "GetJobRun", "TagResource")
    return [
        resource("emr-serverless", arn).may("StartJobRun"),
        replace(runs, reasons={}),  # `finding` has it
        wait_for(names, "EMRServerlessJob"),
        pass_roles(names, BULK, to="emr-serverless.amazonaws.com"),
    ]


def finding(names: WorkloadNames) -> dict[str, str]:
    """The finding on the runs of an application, whose id is known at deployment, with its reason."""
    arn = names.platform.arn("emr-serverless", "/applications/<Spark.ApplicationId>/jobruns/*")
    return {f"AwsSolutions-IAM5[Resource::{arn}]": RUNS}
