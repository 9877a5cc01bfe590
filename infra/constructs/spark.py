"""The application of EMR Serverless for the Spark jobs of a workload, and the rights of jobs and machine."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_emrserverless as emr
from constructs import Construct

from millrace.infra.bases import SPARK_RELEASE
from millrace.infra.constructs.acknowledgement import acknowledge
from millrace.infra.constructs.role import machines_role, role_of
from millrace.infra.context import Context
from millrace.infra.iam import key
from millrace.infra.iam import spark as rights
from millrace.infra.iam.buckets import LAKE, LANDING
from millrace.infra.options import Bulk
from millrace.names import BULK
from millrace.workload.bulk import GB_OF_VCPU


def spark(scope: Construct, context: Context, most: Bulk) -> str:
    """The id of the application, which no name tells. An idle one has no worker and costs nothing.

    The jobs reach S3 by the endpoint of their subnets, and nothing else."""
    names, table = context.names, f"iceberg/{context.names.table('rows')}"
    own = [
        LANDING.read_versions(names, "training"),
        LAKE.read(names, "staging", table),
        LAKE.write(names, "staging", f"{table}/data"),
    ]
    own.append(key.use(context.key_arn, own))
    role_of(scope, BULK, context=context, service="emr-serverless.amazonaws.com", statements=own)
    application = emr.CfnApplication(
        scope,
        "Spark",
        name=names.prefix,
        type="SPARK",
        release_label=SPARK_RELEASE,
        image_configuration=emr.CfnApplication.ImageConfigurationInputProperty(image_uri=context.images[BULK]),
        maximum_capacity=emr.CfnApplication.MaximumAllowedResourcesProperty(
            cpu=f"{most.vcpus} vCPU", memory=f"{GB_OF_VCPU * most.vcpus} GB"
        ),
        network_configuration=emr.CfnApplication.NetworkConfigurationProperty(
            subnet_ids=list(context.subnet_ids), security_group_ids=[context.security_group_id]
        ),
    )
    made = cdk.Token.as_string(application.attr_application_id)
    owner, service = machines_role(context.component), "states.amazonaws.com"
    role = role_of(scope, owner, context=context, service=service, statements=rights.run(names, made))
    acknowledge(role.resource, rights.finding(names))
    return made
