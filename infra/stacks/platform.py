"""The platform stack: what every workload of one environment shares."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_events as events
from aws_cdk import aws_glue as glue
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.constructs.acknowledgement import acknowledge
from infra.constructs.notifications import Notifications
from infra.constructs.tags import tag
from infra.constructs.workgroup import Workgroup
from infra.iam.resource import policy
from infra.retention import RETENTION, SHARED_RETENTION, TIERED_DAYS, Retention
from infra.settings import StageSettings
from infra.stacks import audit
from millrace.state.table import DELETE_AFTER

IMAGES = ("training", "processing", "inference")
"""The folders under `containers/`."""

PRODUCERS = ("budgets.amazonaws.com", "cloudwatch.amazonaws.com", "events.amazonaws.com")
"""Services that write into our encrypted queues and topics on their own account; others do it in a role's name."""

KEPT = cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
"""Of what outlives the stack. A first deployment that fails takes it away all the same: it is empty, and its fixed name
would be taken when the next one makes it."""

CHANGES = dynamodb.CfnTable.StreamSpecificationProperty(stream_view_type="NEW_IMAGE")
"""The audit's chain holds what an item became; what it was is an earlier link."""
OUTLIVED = dynamodb.CfnTable.TimeToLiveSpecificationProperty(enabled=True, attribute_name=DELETE_AFTER)

NETWORK = "10.84.0.0/16"
_AMONG_INSTANCES: dict[str, Any] = {
    "ip_protocol": "tcp",
    "from_port": 1024,
    "to_port": 65535,
    "cidr_ip": NETWORK,
    "description": "Among the instances of a training job",
}

UNTAGGED: dict[str, Any] = {
    "rules": [
        {
            "rulePriority": 1,
            "description": "What a push left behind",
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": 14,
            },
            "action": {"type": "expire"},
        }
    ]
}
"""Every image that a template, a model or a version names has a tag, so this takes none of them; by age or number ECR
would take those, too. `make prune` looks what is in use.
https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html"""

FLOW_LOGS = "AWSLogs/"
"""Where AWS lays the VPC's flow log in the bucket of the access logs."""


class PlatformStack(cdk.Stack):
    """Customer key, signing key, network, buckets, repositories, catalogue, bus, alarm topic, tables.

    The keys, the buckets and the tables outlive the stack; `workloads` are the names of all that the stage may have."""

    def __init__(self, scope: Construct, *, settings: StageSettings, workloads: Sequence[str]) -> None:
        names = settings.platform
        super().__init__(
            scope,
            f"{names.prefix}-platform",
            env=cdk.Environment(account=names.account, region=names.region),
            description="Millrace platform: key, network, buckets, bus, catalogue, tables",
        )
        self._settings = settings
        self._names = names
        self._workloads = workloads
        self._key()
        self._signing_key()
        self._network()
        self._buckets()
        self._flow_log()
        self._messaging()
        for image in IMAGES:
            ecr.CfnRepository(
                self,
                f"{image}-repository",
                repository_name=names.repository(image),
                image_tag_mutability="IMMUTABLE",
                empty_on_delete=True,
                lifecycle_policy=ecr.CfnRepository.LifecyclePolicyProperty(lifecycle_policy_text=json.dumps(UNTAGGED)),
                image_scanning_configuration=ecr.CfnRepository.ImageScanningConfigurationProperty(scan_on_push=True),
                encryption_configuration=ecr.CfnRepository.EncryptionConfigurationProperty(
                    encryption_type="KMS", kms_key=self.key_arn
                ),
            )
        glue.CfnDatabase(
            self,
            "Database",
            catalog_id=names.account,
            database_input=glue.CfnDatabase.DatabaseInputProperty(
                name=names.database, description="Iceberg tables made in code; external tables made by the stacks"
            ),
        )
        Workgroup(self, names=names, key_arn=self.key_arn)
        self._tables()
        tag(self, settings.tags_of("platform"))

    def _publish(self, name: str, value: str) -> None:
        ssm.CfnParameter(self, f"{name}-parameter", name=self._names.parameter(name), type="String", value=value)

    def _key(self) -> None:
        """The platform's own, or one of the account's; that one's policy is its owner's."""
        if own := self._settings.options.key_arn:
            self.key_arn = own
            self._publish("key-arn", own)
            return
        account = self._names.account
        key = kms.CfnKey(
            self,
            "Key",
            description=f"Customer key of {self._names.prefix}",
            enable_key_rotation=True,
            pending_window_in_days=30,
            key_policy=policy(
                [
                    {
                        "Sid": "Account",
                        "Effect": "Allow",
                        "Principal": {"AWS": self._names.arn("iam", "root")},
                        "Action": "kms:*",
                        "Resource": "*",
                    },
                    {
                        "Sid": "Producers",
                        "Effect": "Allow",
                        "Principal": {"Service": list(PRODUCERS)},
                        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                        "Resource": "*",
                        "Condition": {"StringEquals": {"aws:SourceAccount": account}},
                    },
                    {
                        # "Producers" lets EventBridge send to queues. To topics its condition "is not supported for
                        # EventBridge-to-encrypted topics"; the topic that is encrypted is the condition instead.
                        # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
                        "Sid": "Notices",
                        "Effect": "Allow",
                        "Principal": {"Service": "events.amazonaws.com"},
                        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                        "Resource": "*",
                        "Condition": {
                            "StringEquals": {"kms:EncryptionContext:aws:sns:topicArn": self._names.alarm_topic_arn}
                        },
                    },
                    {
                        # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-encryption-key-policy.html
                        "Sid": "Bus",
                        "Effect": "Allow",
                        "Principal": {"Service": "events.amazonaws.com"},
                        "Action": "kms:DescribeKey",
                        "Resource": "*",
                        "Condition": {"StringEquals": {"aws:SourceAccount": account}},
                    },
                    {
                        "Sid": "Logs",
                        "Effect": "Allow",
                        "Principal": {"Service": f"logs.{self._names.region}.amazonaws.com"},
                        "Action": [
                            "kms:Decrypt",
                            "kms:DescribeKey",
                            "kms:Encrypt",
                            "kms:GenerateDataKey",
                            "kms:ReEncryptFrom",
                            "kms:ReEncryptTo",
                        ],
                        "Resource": "*",
                        "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": self._names.arn("logs", "*")}},
                    },
                ]
            ),
        )
        key.apply_removal_policy(KEPT)
        kms.CfnAlias(self, "KeyAlias", alias_name=self._names.key_alias, target_key_id=key.ref)
        self.key_arn = key.attr_arn
        self._publish("key-arn", key.attr_arn)

    def _signing_key(self) -> None:
        """Registrations sign versions by it. It is never rotated: KMS rotates no asymmetric key."""
        account = self._names.arn("iam", "root")
        registrations = self._names.arn("iam", f"role/{self._names.prefix}-*-registration")
        key = kms.CfnKey(
            self,
            "SigningKey",
            description=f"Signs model versions of {self._names.prefix}",
            key_spec="ECC_NIST_P256",
            key_usage="SIGN_VERIFY",
            pending_window_in_days=30,
            key_policy=policy(
                [
                    {
                        "Sid": "Account",
                        "Effect": "Allow",
                        "Principal": {"AWS": account},
                        "Action": "kms:*",
                        "Resource": "*",
                    },
                    {
                        # An administrator's kms:* would suffice to sign anything.
                        "Sid": "RegistrationsAlone",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "kms:Sign",
                        "Resource": "*",
                        "Condition": {"ArnNotLike": {"aws:PrincipalArn": registrations}},
                    },
                ]
            ),
        )
        key.apply_removal_policy(KEPT)
        alias = kms.CfnAlias(self, "SigningKeyAlias", alias_name=self._names.signing_key_alias, target_key_id=key.ref)
        alias.apply_removal_policy(KEPT)
        self._publish("signing-key-arn", key.attr_arn)

    def _network(self) -> None:
        """Two isolated subnets without a route out; S3 is reached through a gateway endpoint. Or two of the account's,
        whose routes, endpoints and flow log are their owner's."""
        if own := self._settings.options.network:
            for zone, subnet_id in zip("ab", own.subnets, strict=True):
                self._publish(f"subnet-{zone}", subnet_id)
            self._publish("security-group", own.security_group)
            return
        vpc = ec2.CfnVPC(self, "Vpc", cidr_block=NETWORK, enable_dns_hostnames=True, enable_dns_support=True)
        self._vpc_id = vpc.ref
        routes = ec2.CfnRouteTable(self, "Routes", vpc_id=vpc.ref)
        for index, zone in enumerate("ab"):
            subnet = ec2.CfnSubnet(
                self,
                f"Subnet{zone}",
                vpc_id=vpc.ref,
                cidr_block=f"10.84.{index}.0/24",
                availability_zone=cdk.Fn.select(index, cdk.Fn.get_azs()),
                map_public_ip_on_launch=False,
            )
            ec2.CfnSubnetRouteTableAssociation(self, f"Route{zone}", subnet_id=subnet.ref, route_table_id=routes.ref)
            self._publish(f"subnet-{zone}", subnet.ref)
        ec2.CfnVPCEndpoint(
            self,
            "S3Endpoint",
            vpc_id=vpc.ref,
            service_name=f"com.amazonaws.{self._names.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[routes.ref],
        )
        group = ec2.CfnSecurityGroup(
            self,
            "Jobs",
            vpc_id=vpc.ref,
            group_description="Jobs reach S3 and the other instances of theirs, nothing else",
            # S3's addresses are public, also behind the gateway endpoint, and CloudFormation does not know the number
            # of its prefix list. The route table has no way out but the endpoint, so everywhere is S3.
            security_group_egress=[
                ec2.CfnSecurityGroup.EgressProperty(
                    ip_protocol="tcp", from_port=443, to_port=443, cidr_ip="0.0.0.0/0", description="S3 by its endpoint"
                ),
                ec2.CfnSecurityGroup.EgressProperty(**_AMONG_INSTANCES),
            ],
            # Every job is isolated from the network but for the instances of its own cluster: SageMaker lets no other
            # traffic of the subnets through.
            security_group_ingress=[ec2.CfnSecurityGroup.IngressProperty(**_AMONG_INSTANCES)],
        )
        self._publish("security-group", group.attr_group_id)

    def _buckets(self) -> None:
        """Landing, lake, artefacts and audit under the key; the access log must be SSE-S3."""
        log = self._bucket("access-logs", encryption={"sse_algorithm": "AES256"}, logged=False)
        acknowledge(log, {"CKV_AWS_18": "It holds the access logs itself: to log them would log every line twice"})
        for purpose in ("landing", "lake", "artefacts", "audit"):
            bucket = self._bucket(
                purpose, encryption={"sse_algorithm": "aws:kms", "kms_master_key_id": self.key_arn}, logged=True
            )
            bucket.add_resource_dependency(log)

    def _flow_log(self) -> None:
        """Every connection in the platform's own network, also those refused, into the bucket of the access logs."""
        if self._settings.options.network:
            return
        flow_log = ec2.CfnFlowLog(
            self,
            "FlowLog",
            resource_id=self._vpc_id,
            resource_type="VPC",
            traffic_type="ALL",
            log_destination_type="s3",
            log_destination=self._names.bucket_arn("access-logs"),
        )
        flow_log.node.add_dependency(self.node.find_child("access-logs-policy"))

    def _bucket(self, purpose: str, *, encryption: dict[str, str], logged: bool) -> s3.CfnBucket:
        name = self._names.bucket(purpose)
        extra: dict[str, Any] = {}
        if purpose == "landing":
            extra["notification_configuration"] = s3.CfnBucket.NotificationConfigurationProperty(
                event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(event_bridge_enabled=True)
            )
        if purpose == "audit":
            extra |= audit.locked(self._settings)
        if logged:
            extra["logging_configuration"] = s3.CfnBucket.LoggingConfigurationProperty(
                destination_bucket_name=self._names.bucket("access-logs"), log_file_prefix=f"{purpose}/"
            )
        bucket = s3.CfnBucket(
            self,
            f"{purpose}-bucket",
            bucket_name=name,
            bucket_encryption=s3.CfnBucket.BucketEncryptionProperty(
                server_side_encryption_configuration=[
                    s3.CfnBucket.ServerSideEncryptionRuleProperty(
                        bucket_key_enabled=True,
                        server_side_encryption_by_default=s3.CfnBucket.ServerSideEncryptionByDefaultProperty(
                            **encryption
                        ),
                    )
                ]
            ),
            versioning_configuration=s3.CfnBucket.VersioningConfigurationProperty(status="Enabled"),
            public_access_block_configuration=s3.CfnBucket.PublicAccessBlockConfigurationProperty(
                block_public_acls=True, block_public_policy=True, ignore_public_acls=True, restrict_public_buckets=True
            ),
            ownership_controls=s3.CfnBucket.OwnershipControlsProperty(
                rules=[s3.CfnBucket.OwnershipControlsRuleProperty(object_ownership="BucketOwnerEnforced")]
            ),
            lifecycle_configuration=s3.CfnBucket.LifecycleConfigurationProperty(rules=self._lifecycle(purpose)),
            **extra,
        )
        bucket.apply_removal_policy(KEPT)
        statements = self._bucket_statements(bucket.attr_arn, purpose)
        s3.CfnBucketPolicy(self, f"{purpose}-policy", bucket=bucket.ref, policy_document=policy(statements))
        return bucket

    def _lifecycle(self, purpose: str) -> list[s3.CfnBucket.RuleProperty]:
        """Parts of uploads that nobody finished, logs as old as those of functions, and each folder by its own rule."""
        abandoned = s3.CfnBucket.AbortIncompleteMultipartUploadProperty(days_after_initiation=7)
        if purpose == "access-logs":
            logged = Retention(because="Logs", days=self._settings.log_retention_days, old_days=1)
            return [_rule("", logged, abort_incomplete_multipart_upload=abandoned)]
        folders = RETENTION.get(purpose, {})
        return [
            s3.CfnBucket.RuleProperty(status="Enabled", abort_incomplete_multipart_upload=abandoned),
            *(
                _rule(f"{workload}/{folder}/", retention)
                for workload in self._workloads
                for folder, retention in folders.items()
            ),
            *(_rule(f"{folder}/", retention) for folder, retention in SHARED_RETENTION.get(purpose, {}).items()),
        ]

    def _bucket_statements(self, arn: str, purpose: str) -> list[dict[str, Any]]:
        statements: list[dict[str, Any]] = [
            {
                "Effect": "Deny",
                "Principal": {"AWS": "*"},
                "Action": "s3:*",
                "Resource": [arn, f"{arn}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ]
        if purpose == "audit":
            statements += audit.only_appended(self._names, arn)
        if purpose == "access-logs":
            ours = {"StringEquals": {"aws:SourceAccount": self._names.account}}
            for service, actions, resource in (
                ("logging.s3.amazonaws.com", ["s3:PutObject"], f"{arn}/*"),
                ("delivery.logs.amazonaws.com", ["s3:PutObject"], f"{arn}/{FLOW_LOGS}*"),
                ("delivery.logs.amazonaws.com", ["s3:GetBucketAcl", "s3:ListBucket"], arn),
            ):
                statements.append(
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": service},
                        "Action": actions,
                        "Resource": resource,
                        "Condition": ours,
                    }
                )
        return statements

    def _tables(self) -> None:
        """Made after everything else: protected from deletion, they could not go where a first deployment fails."""
        before = [one for one in self.node.find_all() if isinstance(one, cdk.CfnResource)]
        for table, name in (("state", self._names.state_table), ("audit", self._names.audit_table)):
            resource = dynamodb.CfnTable(
                self,
                f"{table}-table",
                table_name=name,
                billing_mode="PAY_PER_REQUEST",
                attribute_definitions=[
                    dynamodb.CfnTable.AttributeDefinitionProperty(attribute_name=key, attribute_type="S")
                    for key in ("pk", "sk")
                ],
                key_schema=[
                    dynamodb.CfnTable.KeySchemaProperty(attribute_name="pk", key_type="HASH"),
                    dynamodb.CfnTable.KeySchemaProperty(attribute_name="sk", key_type="RANGE"),
                ],
                sse_specification=dynamodb.CfnTable.SSESpecificationProperty(
                    sse_enabled=True, sse_type="KMS", kms_master_key_id=self.key_arn
                ),
                point_in_time_recovery_specification=dynamodb.CfnTable.PointInTimeRecoverySpecificationProperty(
                    point_in_time_recovery_enabled=True
                ),
                deletion_protection_enabled=True,
                time_to_live_specification=OUTLIVED if table == "state" else None,
                stream_specification=CHANGES if table == "audit" else None,
            )
            resource.apply_removal_policy(KEPT)
            for one in before:
                resource.add_resource_dependency(one)
            if table == "audit":
                self._publish(audit.STREAM, resource.attr_stream_arn)

    def _messaging(self) -> None:
        """The platform's own bus, or one of the account's; whose key encrypts that is its owner's choice."""
        bus = None
        if self._names.event_bus is None:
            bus = events.CfnEventBus(self, "Bus", name=self._names.bus, kms_key_identifier=self.key_arn)
        Notifications(self, settings=self._settings, key_arn=self.key_arn, bus=bus)


def _rule(prefix: str, retention: Retention, **properties: Any) -> s3.CfnBucket.RuleProperty:
    """S3 removes the marker of a deleted object itself where objects expire by age.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_LifecycleExpiration.html"""
    if retention.days:
        properties["expiration_in_days"] = retention.days
    else:
        properties["expired_object_delete_marker"] = True
        tier = s3.CfnBucket.TransitionProperty(storage_class="INTELLIGENT_TIERING", transition_in_days=TIERED_DAYS)
        properties["transitions"] = [tier]
    if prefix:
        properties["prefix"] = prefix
    old = s3.CfnBucket.NoncurrentVersionExpirationProperty(noncurrent_days=retention.old_days)
    return s3.CfnBucket.RuleProperty(status="Enabled", noncurrent_version_expiration=old, **properties)
