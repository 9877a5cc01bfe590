"""The MLflow of a stage that asks for one: a serverless App."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from millrace.infra.constructs.role import role_resource
from millrace.infra.context import PlatformContext
from millrace.infra.iam import key
from millrace.infra.iam.resource import Statement, resource
from millrace.infra.retention import MLFLOW_ARTIFACTS

MLFLOW_ARN = "mlflow-arn"
"""Name of the parameter by which the platform publishes the ARN: AWS chooses the id of an App."""


def mlflow(stack: Construct, context: PlatformContext, *, kept: cdk.RemovalPolicy) -> str:
    """Make the App; its ARN.

    It outlives the stack, with its runs and its role. A later deployment names it by its ARN."""
    names = context.platform
    # AWS's page gives the role all of S3; here it only has the folder in which it stores. The role outlives the stack
    # together with the MLflow. So it has no name of ours, which would be taken when another one is made.
    # https://docs.aws.amazon.com/sagemaker/latest/dg/mlflow-create-tracking-server-iam.html
    role = role_resource(
        stack,
        "MlflowRole",
        context=context,
        service="sagemaker.amazonaws.com",
        statements=_statements(context),
    )
    role.apply_removal_policy(kept)
    store = f"s3://{names.bucket('artefacts')}/{MLFLOW_ARTIFACTS}"
    app = sagemaker.CfnMlflowApp(
        stack, "MlflowApp", name=names.prefix, artifact_store_uri=store, role_arn=role.attr_arn
    )
    app.apply_removal_policy(kept)
    return app.attr_arn


def _statements(context: PlatformContext) -> list[Statement]:
    bucket = context.platform.bucket_arn("artefacts")
    below = {"StringLike": {"s3:prefix": [f"{MLFLOW_ARTIFACTS}/*"]}}
    artifacts = resource(
        "s3", f"{bucket}/{MLFLOW_ARTIFACTS}/*", because="MLflow names the folders of experiments and runs"
    )
    own = [
        artifacts.may("GetObject", "PutObject", "DeleteObject"),
        resource("s3", bucket, where=below).may("ListBucket"),
    ]
    return [*own, key.use(context.key_arn, own)]
