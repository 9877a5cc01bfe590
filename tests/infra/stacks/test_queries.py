"""The workgroup of a stage: its own settings count, results are encrypted and go, no query reads without a limit."""

from __future__ import annotations

from typing import Any

import pytest

Templates = dict[str, dict[str, dict[str, Any]]]


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_results_are_encrypted_and_a_query_ends_at_half_a_dollar(templates: Templates, stage: str) -> None:
    resources = templates[stage][f"millrace-{stage}-platform"]["Resources"]
    [group] = [one["Properties"] for one in resources.values() if one["Type"] == "AWS::Athena::WorkGroup"]
    settings = group["WorkGroupConfiguration"]
    assert group["Name"] == f"millrace-{stage}"
    assert settings["EnforceWorkGroupConfiguration"] is True
    assert settings["BytesScannedCutoffPerQuery"] * 5 / 1e12 == 0.5
    assert settings["EngineVersion"] == {"SelectedEngineVersion": "Athena engine version 3"}
    results = settings["ResultConfiguration"]
    lake = f"millrace-{stage}-lake-123456789012-eu-west-1"
    assert results["OutputLocation"] == f"s3://{lake}/query-results/"
    assert results["EncryptionConfiguration"]["EncryptionOption"] == "SSE_KMS"
    assert "Fn::GetAtt" in results["EncryptionConfiguration"]["KmsKey"]
    [bucket] = [one["Properties"] for one in resources.values() if one.get("Properties", {}).get("BucketName") == lake]
    [rule] = [one for one in bucket["LifecycleConfiguration"]["Rules"] if one.get("Prefix") == "query-results/"]
    assert rule["ExpirationInDays"] == 30
