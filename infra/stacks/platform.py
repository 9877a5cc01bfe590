"""The platform stack: everything that the workloads of a stage share, apart from the audit's chain."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_athena as athena
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_events as events
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from millrace.infra.constructs.acknowledgement import acknowledge
from millrace.infra.constructs.function import make_layers
from millrace.infra.constructs.lineage import Lineage
from millrace.infra.constructs.live_alias import MOVER
from millrace.infra.constructs.notifications import Notifications
from millrace.infra.constructs.role import role_of, role_resource, wildcards, write_roles
from millrace.infra.constructs.tags import tag
from millrace.infra.context import PlatformContext, deployed
from millrace.infra.iam import alarms, functions, log_groups, people, sharing
from millrace.infra.iam.resource import Statement, policy
from millrace.infra.images import SERVING, wanted
from millrace.infra.settings import StageSettings
from millrace.infra.stacks import audit
from millrace.infra.stacks.buckets import LOG_POLICY, Buckets
from millrace.infra.stacks.keys import customer_key, signing_key
from millrace.infra.stacks.mlflow import MLFLOW_ARN, mlflow
from millrace.infra.stacks.network import PlatformNetwork, isolated_network, log_connections
from millrace.names import BULK
from millrace.people import ROLES, Role
from millrace.state.table import DELETE_AFTER

MOST_BYTES = 100_000_000_000
"""Most bytes that one query may scan, so it costs 0.50 USD at most. A query without its condition is cancelled here.
https://docs.aws.amazon.com/athena/latest/ug/workgroups-setting-control-limits-cloudwatch.html"""
ENGINE = "Athena engine version 3"
"""The engine is fixed, so that no query changes its meaning by itself.
https://docs.aws.amazon.com/athena/latest/ug/engine-versions-reference-0003.html"""

KEPT = cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
"""The removal policy of resources that outlive the stack.

If a first deployment fails, CloudFormation deletes them all the same. They are empty then, and the next deployment
would find their fixed names taken."""

CHANGES = dynamodb.CfnTable.StreamSpecificationProperty(stream_view_type="NEW_IMAGE")
"""The stream of the audit table has the new item of each change. The old one is in an earlier link of the chain."""
OUTLIVED = dynamodb.CfnTable.TimeToLiveSpecificationProperty(enabled=True, attribute_name=DELETE_AFTER)

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
"""ECR deletes untagged images. Every image that a template, a model or a version names has a tag, so it stays.

A rule by age or number would delete such images, too.
https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html"""


class PlatformStack(cdk.Stack):
    """Customer key, signing key, network, buckets, repositories, catalogue, bus, alarm topic, tables.

    The keys, the buckets and the tables outlive the stack. `workloads` are the names of all workloads that the stage
    may have, `hosts` is whether a function of one runs its versions. The stage's options may name a key, a network and
    a bus of the account. Then their owner is responsible for their policies, routes, endpoints and flow log.

    The parts of the stack are no constructs. A construct would add a name to the logical ids, and CloudFormation would
    make new resources in place of the deployed ones."""

    def __init__(self, scope: Construct, *, settings: StageSettings, workloads: Sequence[str], hosts: bool) -> None:
        names = settings.platform
        description = "Millrace platform: key, network, buckets, bus, catalogue, tables"
        super().__init__(scope, **deployed(settings, f"{names.prefix}-platform", description))
        self._settings = settings
        self._names = names
        self.key_arn = settings.options.key_arn or customer_key(self, settings, kept=KEPT)
        self._context = PlatformContext(settings=settings, key_arn=self.key_arn)
        # The other stacks read these parameters at deployment, so no stack exports values to another.
        self._publish("key-arn", self.key_arn)
        signing_key_arn = signing_key(self, settings, kept=KEPT)
        self._publish("signing-key-arn", signing_key_arn)
        network = settings.options.network or isolated_network(self, region=names.region, subnets=settings.subnets)
        for number, subnet in enumerate(network.subnets):
            self._publish(f"subnet-{number}", subnet)
        self._publish("security-group", network.security_group)
        for name, layer_arn in make_layers(self, settings, hosts=hosts):
            self._publish(name, layer_arn)
        Buckets(self, settings=settings, key_arn=self.key_arn, workloads=workloads, kept=KEPT)
        # A network of the account has a flow log of its owner's, or none.
        if isinstance(network, PlatformNetwork):
            flow_log = log_connections(self, network.vpc_id, bucket_arn=names.bucket_arn("access-logs"))
            flow_log.node.add_dependency(self.node.find_child(LOG_POLICY))
        self._messaging()
        readers = sharing.pull_images(settings.options.released_to, names)
        for image in wanted(settings.options):
            policies = {SERVING: readers, BULK: sharing.run_spark(names)}.get(image)
            ecr.CfnRepository(
                self,
                f"{image}-repository",
                repository_name=names.repository(image),
                image_tag_mutability="IMMUTABLE",
                empty_on_delete=True,
                repository_policy_text=policy(policies) if policies else None,
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
        self._workgroup()
        if settings.makes_mlflow:
            self._publish(MLFLOW_ARN, mlflow(self, self._context, kept=KEPT))
        self._moves()
        if settings.options.api:
            self._log_apis()
        for role in ROLES:
            self._person(role, people.statements_of(role, names, key_arn=self.key_arn, signing_key_arn=signing_key_arn))
        self._tables()
        write_roles(self)
        tag(self, settings.tags_of("platform"))

    def _publish(self, name: str, value: str) -> None:
        ssm.CfnParameter(self, f"{name}-parameter", name=self._names.parameter(name), type="String", value=value)

    def _tables(self) -> None:
        """The tables, which are made after everything else.

        They are protected from deletion. If a first deployment failed after them, CloudFormation could not delete them.
        """
        # Everything in the stack so far: each table depends on all of it.
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

    def _workgroup(self) -> None:
        """Athena's workgroup `millrace-<stage>`. Its settings override those of a query.

        It costs nothing without queries. It keeps the history of queries for 45 days, and is deleted together with it.
        https://docs.aws.amazon.com/athena/latest/ug/workgroups-settings-override.html"""
        athena.CfnWorkGroup(
            Construct(self, "queries"),
            "Workgroup",
            name=self._names.workgroup,
            description="Queries over the tables of all workloads",
            recursive_delete_option=True,
            work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=True,
                bytes_scanned_cutoff_per_query=MOST_BYTES,
                engine_version=athena.CfnWorkGroup.EngineVersionProperty(selected_engine_version=ENGINE),
                result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                    output_location=self._names.query_results_uri,
                    expected_bucket_owner=self._names.account,
                    encryption_configuration=athena.CfnWorkGroup.EncryptionConfigurationProperty(
                        encryption_option="SSE_KMS", kms_key=self.key_arn
                    ),
                ),
            ),
        )

    def _moves(self) -> None:
        """CodeDeploy's application and role, by which a deployment moves requests to the functions that it changes."""
        codedeploy.CfnApplication(self, "Moves", application_name=self._names.prefix, compute_platform="Lambda")
        rights = [
            functions.move_aliases(self._names),
            alarms.describe(because="CodeDeploy asks for the alarms of a move, of any workload"),
        ]
        role_of(self, MOVER, context=self._context, service="codedeploy.amazonaws.com", statements=rights)

    def _person(self, role: Role, statements: Sequence[Statement]) -> None:
        """The policy `millrace-<stage>-<role>`. IAM Identity Center attaches it by its name.

        https://docs.aws.amazon.com/singlesignon/latest/userguide/permissionsetcustom.html"""
        document = policy([one.document() for one in statements])
        name, description = self._names.role(role), f"What a person may do who is {role} of a workload"
        made = iam.CfnManagedPolicy(
            self, f"{role}-policy", managed_policy_name=name, description=description, policy_document=document
        )
        acknowledge(made, wildcards(statements))

    def _log_apis(self) -> None:
        """The role by which API Gateway writes the logs of REST APIs. An account and region has one for all its APIs.

        With two stages in one account the last one deployed names its role, and the logs of both go by it. The role
        outlives the stack, so that the other stage's logs do."""
        service, statements = "apigateway.amazonaws.com", log_groups.write_of_apis(self._names)
        role = role_resource(self, "ApiLog", context=self._context, service=service, statements=statements)
        account = apigateway.CfnAccount(self, "ApiAccount", cloud_watch_role_arn=role.attr_arn)
        for resource in (role, account):
            resource.apply_removal_policy(KEPT)

    def _messaging(self) -> None:
        """The platform's bus and the notifications."""
        bus = events.CfnEventBus(
            self,
            "Bus",
            name=self._names.bus,
            kms_key_identifier=self.key_arn,
            dead_letter_config=events.CfnEventBus.DeadLetterConfigProperty(arn=self._context.dead_events_arn),
        )
        Notifications(self, settings=self._settings, key_arn=self.key_arn, bus=bus)
        if told := self._settings.options.lineage:
            Lineage(self, settings=self._settings, url=told.url, secret=told.secret, bus=bus)
