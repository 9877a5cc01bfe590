"""The workgroup of a stage: its own settings count, results are encrypted and go, no query reads without a limit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aws_cdk.assertions import Match, Template


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_results_are_encrypted_and_a_query_ends_at_half_a_dollar(
    template_of: Callable[[str, str], Template], stage: str
) -> None:
    platform, lake = template_of(stage, "platform"), f"millrace-{stage}-lake-123456789012-eu-west-1"
    key = {"Fn::GetAtt": Match.any_value()}
    settings = {
        "EnforceWorkGroupConfiguration": True,
        "BytesScannedCutoffPerQuery": 100_000_000_000,  # at 5 USD for 10 ** 12
        "EngineVersion": {"SelectedEngineVersion": "Athena engine version 3"},
        "ResultConfiguration": {
            "OutputLocation": f"s3://{lake}/query-results/",
            "EncryptionConfiguration": {"EncryptionOption": "SSE_KMS", "KmsKey": key},
        },
    }
    group = {"Name": f"millrace-{stage}", "WorkGroupConfiguration": settings}
    platform.has_resource_properties("AWS::Athena::WorkGroup", group)
    kept = Match.array_with([Match.object_like({"Prefix": "query-results/", "ExpirationInDays": 30})])
    bucket = {"BucketName": lake, "LifecycleConfiguration": {"Rules": kept}}
    platform.has_resource_properties("AWS::S3::Bucket", bucket)
