"""The buckets of a stage: landing, lake, artefacts and audit under the customer key, and their access log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct

from millrace.infra.constructs.acknowledgement import acknowledge
from millrace.infra.iam import sharing
from millrace.infra.iam.resource import let, policy, refuse_without_tls
from millrace.infra.retention import KEPT_WHOLE, RETENTION, SHARED_RETENTION, TIERED_DAYS, Retention
from millrace.infra.settings import StageSettings
from millrace.infra.stacks import audit
from millrace.operations.trail import AWS_LOGS

LOG_POLICY = "access-logs-policy"
"""Name of the construct that lets AWS write into the bucket of the access logs."""


class Buckets:
    """Makes the buckets in the stack. `workloads` are the names of all workloads that the stage may have."""

    def __init__(
        self,
        stack: Construct,
        *,
        settings: StageSettings,
        key_arn: str,
        workloads: Sequence[str],
        kept: cdk.RemovalPolicy,
    ) -> None:
        self._stack, self._settings, self._names = stack, settings, settings.platform
        self._key_arn, self._workloads, self._kept = key_arn, workloads, kept
        # S3 writes access logs only into a bucket that is encrypted with its own key (SSE-S3).
        log = self._bucket("access-logs", encryption={"sse_algorithm": "AES256"}, logged=False)
        acknowledge(log, {"CKV_AWS_18": "It holds the access logs itself: to log them would log every line twice"})
        for purpose in ("landing", "lake", "artefacts", "audit"):
            bucket = self._bucket(
                purpose, encryption={"sse_algorithm": "aws:kms", "kms_master_key_id": self._key_arn}, logged=True
            )
            bucket.add_resource_dependency(log)

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
            self._stack,
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
        bucket.apply_removal_policy(self._kept)
        statements = self._bucket_statements(bucket.attr_arn, purpose)
        s3.CfnBucketPolicy(self._stack, f"{purpose}-policy", bucket=bucket.ref, policy_document=policy(statements))
        return bucket

    def _lifecycle(self, purpose: str) -> list[s3.CfnBucket.RuleProperty]:
        """The lifecycle rules of a bucket: parts of unfinished uploads go, and each folder that is kept less long than
        the bucket has a rule of its own. S3 takes the shortest of the rules on an object, and 1,000 rules a bucket.

        Access logs are kept for as long as the logs of functions.
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-conflicts.html"""
        abandoned = s3.CfnBucket.AbortIncompleteMultipartUploadProperty(days_after_initiation=7)
        if purpose == "access-logs":
            logged = Retention(because="Logs", days=self._settings.log_retention_days, old_days=1)
            return [_rule("", logged, abort_incomplete_multipart_upload=abandoned)]
        if purpose not in RETENTION:
            return [s3.CfnBucket.RuleProperty(status="Enabled", abort_incomplete_multipart_upload=abandoned)]
        own = RETENTION[purpose]
        folders = {f"{workload}/{folder}/": own[folder] for workload in self._workloads for folder in own}
        folders |= {f"{folder}/": retention for folder, retention in SHARED_RETENTION[purpose].items()}
        return [
            _rule("", KEPT_WHOLE, abort_incomplete_multipart_upload=abandoned),
            *(_rule(prefix, retention) for prefix, retention in folders.items() if retention.is_shorter),
        ]

    def _bucket_statements(self, arn: str, purpose: str) -> list[dict[str, Any]]:
        statements = [refuse_without_tls("s3:*", [arn, f"{arn}/*"])]
        if purpose == "artefacts":
            statements += sharing.read_runs(self._settings)
        if purpose == "landing":
            statements += sharing.drop_files(self._settings)
        if purpose == "audit":
            statements += audit.only_appended(self._names, arn)
            if self._settings.audits_access:
                statements += audit.deliver_trail(self._names, arn)
        if purpose == "access-logs":
            ours = {"StringEquals": {"aws:SourceAccount": self._names.account}}
            delivery = "delivery.logs.amazonaws.com"
            statements += [
                let("logging.s3.amazonaws.com", ["s3:PutObject"], f"{arn}/*", where=ours),
                let(delivery, ["s3:PutObject"], f"{arn}/{AWS_LOGS}/*", where=ours),
                let(delivery, ["s3:GetBucketAcl", "s3:ListBucket"], arn, where=ours),
            ]
        return statements


def _rule(prefix: str, retention: Retention, **properties: Any) -> s3.CfnBucket.RuleProperty:
    """The lifecycle rule of a prefix; of the whole bucket if it is empty.

    If objects expire by age, S3 removes the markers of deleted objects itself. Else the rule has to do it.
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
