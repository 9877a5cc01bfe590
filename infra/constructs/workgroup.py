"""The workgroup in which people query the stage's tables: where results go, under which key, how much is scanned."""

from __future__ import annotations

from aws_cdk import aws_athena as athena
from constructs import Construct

from millrace.names import Platform

MOST_BYTES = 100_000_000_000
"""Of one query, which then costs 0.50 USD at most: one that forgets its condition is cancelled here.
https://docs.aws.amazon.com/athena/latest/ug/workgroups-setting-control-limits-cloudwatch.html"""
ENGINE = "Athena engine version 3"
"""Named, so that no query changes its meaning by itself.
https://docs.aws.amazon.com/athena/latest/ug/engine-versions-reference-0003.html"""


class Workgroup(Construct):
    """`millrace-<stage>`; its settings stand before those that a query names.

    It costs nothing while nobody asks. It keeps the history of queries for 45 days, and goes with it.
    https://docs.aws.amazon.com/athena/latest/ug/workgroups-settings-override.html"""

    def __init__(self, scope: Construct, *, names: Platform, key_arn: str) -> None:
        super().__init__(scope, "queries")
        athena.CfnWorkGroup(
            self,
            "Workgroup",
            name=names.workgroup,
            description="Queries over the tables of all workloads",
            recursive_delete_option=True,
            work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=True,
                bytes_scanned_cutoff_per_query=MOST_BYTES,
                engine_version=athena.CfnWorkGroup.EngineVersionProperty(selected_engine_version=ENGINE),
                result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                    output_location=names.query_results_uri,
                    expected_bucket_owner=names.account,
                    encryption_configuration=athena.CfnWorkGroup.EncryptionConfigurationProperty(
                        encryption_option="SSE_KMS", kms_key=key_arn
                    ),
                ),
            ),
        )
