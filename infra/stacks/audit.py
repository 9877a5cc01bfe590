"""The audit: the function that writes its hash chain from the table's stream, the lock of its bucket, and the trail of
who read which object."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudtrail as cloudtrail
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from millrace.infra.constructs.acknowledgement import acknowledge
from millrace.infra.constructs.function import Function
from millrace.infra.constructs.role import write_roles
from millrace.infra.constructs.tags import tag
from millrace.infra.context import deployed, platform_context
from millrace.infra.iam import state_table
from millrace.infra.iam.buckets import audit_chains
from millrace.infra.iam.resource import let
from millrace.infra.settings import StageSettings
from millrace.names import AUDIT_CHAIN, Platform
from millrace.operations.trail import AWS_LOGS, trail_arn
from millrace.settings.environment import PlatformEnvironment

STREAM = "audit-stream-arn"
"""Name of the parameter by which the platform publishes the ARN of the audit table's stream. It has a time of AWS's."""
CLOUDTRAIL = "cloudtrail.amazonaws.com"
READ = ("landing", "lake", "artefacts")
"""The buckets with data, whose reads are recorded."""
# https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html (MaximumRetryAttempts)
NO_DESTINATION = "What fails is tried until the stream drops it: to go on without a record would leave a gap"


def locked(settings: StageSettings) -> dict[str, Any]:
    """The properties that lock the bucket: each version is kept for as long as the stage's settings say."""
    retention = s3.CfnBucket.DefaultRetentionProperty(mode=settings.audit_lock, days=settings.audit_lock_days)
    return {
        "object_lock_enabled": True,
        "object_lock_configuration": s3.CfnBucket.ObjectLockConfigurationProperty(
            object_lock_enabled="Enabled", rule=s3.CfnBucket.ObjectLockRuleProperty(default_retention=retention)
        ),
    }


def only_appended(platform: Platform, bucket_arn: str) -> list[dict[str, Any]]:
    """The statements of the bucket's policy: only the chain's function puts objects, each key once; nobody hides one.

    The policy is needed beside the lock. The lock keeps versions, but prevents neither a newer version of a key nor a
    delete marker."""
    every = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Resource": f"{bucket_arn}/*"}
    # CloudTrail is no role and puts without a condition: `deliver_trail` says where.
    people = {"Bool": {"aws:PrincipalIsAWSService": "false"}}
    writer = {"ArnNotEquals": {"aws:PrincipalArn": platform.role_arn(AUDIT_CHAIN)}, **people}
    new = {"Null": {"s3:if-none-match": "true"}, **people}
    return [
        every | {"Sid": "OneWriter", "Action": "s3:PutObject", "Condition": writer},
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
        every | {"Sid": "NewKeysOnly", "Action": "s3:PutObject", "Condition": new},
        every | {"Sid": "NothingHidden", "Action": "s3:DeleteObject"},
    ]


def deliver_trail(platform: Platform, bucket_arn: str) -> list[dict[str, Any]]:
    """The statements of the bucket's policy that let CloudTrail write the trail's logs below their folder.

    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html"""
    trail = {"aws:SourceArn": trail_arn(platform)}
    owned = {"StringEquals": {**trail, "s3:x-amz-acl": "bucket-owner-full-control"}}
    logs = f"{bucket_arn}/{AWS_LOGS}/{platform.account}/*"
    return [
        let(CLOUDTRAIL, "s3:GetBucketAcl", bucket_arn, where={"StringEquals": trail}),
        let(CLOUDTRAIL, "s3:PutObject", logs, where=owned),
    ]


def _trail(stack: Construct, platform: Platform, key_arn: str) -> None:
    """Make the trail of who read which object: each GetObject in the buckets with data."""

    equal = {"eventCategory": "Data", "resources.type": "AWS::S3::Object", "eventName": "GetObject"}
    read = [f"{platform.bucket_arn(purpose)}/" for purpose in READ]
    field = cloudtrail.CfnTrail.AdvancedFieldSelectorProperty
    selected = [field(field=name, equal_to=[value]) for name, value in equal.items()]
    selected.append(field(field="resources.ARN", starts_with=read))
    reads = cloudtrail.CfnTrail.AdvancedEventSelectorProperty(name="Reads", field_selectors=selected)
    cloudtrail.CfnTrail(
        stack,
        "Trail",
        trail_name=trail_arn(platform).rpartition("/")[2],
        s3_bucket_name=platform.bucket("audit"),
        kms_key_id=key_arn,
        is_logging=True,
        enable_log_file_validation=True,
        include_global_service_events=False,
        advanced_event_selectors=[reads],
    )


class AuditStack(cdk.Stack):
    """The function `audit_chain` behind the stream of the audit table, and the trail. The alarm is `late-audit`.

    It is a stack of its own, since it reads the table's stream. In the platform's stack nothing may be made after the
    tables: they are protected from deletion, and CloudFormation could not delete them if a first deployment failed."""

    def __init__(self, scope: Construct, *, settings: StageSettings) -> None:
        names = settings.platform
        description = "Millrace audit: the hash chain of what was decided"
        super().__init__(scope, **deployed(settings, f"{names.prefix}-audit", description))
        context = platform_context(self, settings)
        stream = ssm.StringParameter.value_for_string_parameter(self, names.parameter(STREAM))
        function = Function(
            self,
            AUDIT_CHAIN,
            context=context,
            settings=PlatformEnvironment(**context.environment()),
            statements=[*state_table.read_audit_stream(names), *audit_chains(names)],
            timeout_s=60,
        )
        mapping = lambda_.CfnEventSourceMapping(
            self,
            "Stream",
            function_name=function.arn,
            event_source_arn=stream,
            enabled=True,
            # With LATEST, records that are written while the poller starts would be missed.
            # https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
            starting_position="TRIM_HORIZON",
            batch_size=100,
        )
        acknowledge(mapping, {"Serverless-LambdaEventSourceMappingDestination": NO_DESTINATION})
        mapping.add_resource_dependency(function.resource)
        if settings.audits_access:
            _trail(self, names, context.key_arn)
        write_roles(self)
        tag(self, settings.tags_of("audit"))
