"""The Athena workgroup of a stage: where the results of queries go, under which key, and how much a query may scan."""

from __future__ import annotations

from aws_cdk import aws_athena as athena
from constructs import Construct

from millrace.names import Platform

MOST_BYTES = 100_000_000_000
"""Most bytes that one query may scan, so it costs 0.50 USD at most. A query without its condition is cancelled here.
https://docs.aws.amazon.com/athena/latest/ug/workgroups-setting-control-limits-cloudwatch.html"""
ENGINE = "Athena engine version 3"
"""The engine is fixed, so that no query changes its meaning by itself.
https://docs.aws.amazon.com/athena/latest/ug/engine-versions-reference-0003.html"""


class Workgroup(Construct):
    """The workgroup `millrace-<stage>`. Its settings override those of a query.

    It costs nothing without queries. It keeps the history of queries for 45 days, and is deleted together with it.
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
