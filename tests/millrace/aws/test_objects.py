"""Objects by their URI."""

from __future__ import annotations

import boto3
import pytest
from moto import mock_aws

from millrace.aws.objects import folders_below, keys_below, split_uri
from millrace.errors import ConfigurationError
from tests.credentials import set_credentials


@pytest.mark.parametrize("uri", ["bucket/key", "s3://bucket", "s3://bucket/", "s3:///key", "http://bucket/key", ""])
def test_anything_else_is_refused(uri):
    with pytest.raises(ConfigurationError, match="expected s3://<bucket>/<key>"):
        split_uri(uri)


def test_keys_and_folders_below_a_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    set_credentials(monkeypatch)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        for key in ("w/a/1", "w/a/2", "w/b/3", "w/c", "v/d"):
            client.put_object(Bucket="bucket", Key=key, Body=b"")
        assert list(keys_below(client, "bucket", "w/")) == ["w/a/1", "w/a/2", "w/b/3", "w/c"]
        assert list(folders_below(client, "bucket", "w/")) == ["a/", "b/"]
        assert list(keys_below(client, "bucket", "x")) == []
