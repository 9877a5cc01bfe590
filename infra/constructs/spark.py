"""The application of EMR Serverless in which the Spark jobs of a workload run, and the role that they have."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_emrserverless as emr
from constructs import Construct

from millrace.infra.bases import SPARK_RELEASE
from millrace.infra.constructs.role import role_of
from millrace.infra.context import Context
from millrace.infra.iam import key
from millrace.infra.iam.buckets import LAKE, LANDING
from millrace.infra.options import Bulk
from millrace.names import BULK

IDLE_MINUTES = 5


def spark(scope: Construct, context: Context, most: Bulk) -> str:
    """Make both; the id of the application, which no name tells. An idle one has no worker and costs nothing.

    The jobs reach S3 by the endpoint of their subnets, and nothing else."""
    names = context.names
    own = [
        LANDING.read(names, "training"),
        LANDING.read_versions(names, "training"),
        LAKE.read(names, "staging", "iceberg"),
        LAKE.find(names, "staging"),
        LAKE.write(names, "staging", "iceberg"),
    ]
    statements = [*own, key.use(context.key_arn, own)]
    role_of(scope, BULK, context=context, service="emr-serverless.amazonaws.com", statements=statements)
    application = emr.CfnApplication(
        scope,
        "Spark",
        name=names.prefix,
        type="SPARK",
        release_label=SPARK_RELEASE,
        # That of the images: `millrace.infra.images.ARCHITECTURE`.
        architecture="X86_64",
        image_configuration=emr.CfnApplication.ImageConfigurationInputProperty(image_uri=context.images[BULK]),
        auto_start_configuration=emr.CfnApplication.AutoStartConfigurationProperty(enabled=True),
        auto_stop_configuration=emr.CfnApplication.AutoStopConfigurationProperty(
            enabled=True, idle_timeout_minutes=IDLE_MINUTES
        ),
        maximum_capacity=emr.CfnApplication.MaximumAllowedResourcesProperty(
            cpu=f"{most.vcpus} vCPU", memory=f"{most.memory_gb} GB"
        ),
        network_configuration=emr.CfnApplication.NetworkConfigurationProperty(
            subnet_ids=list(context.subnet_ids), security_group_ids=[context.security_group_id]
        ),
    )
    return cdk.Token.as_string(application.attr_application_id)
