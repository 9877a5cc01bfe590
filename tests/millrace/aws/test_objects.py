"""Objects by their URI."""

from __future__ import annotations

import boto3
import pytest
from moto import mock_aws

from millrace.aws.objects import download, folders_below, keys_below, read_object, split_uri
from millrace.errors import ConfigurationError
from tests.credentials import set_credentials


def test_bucket_and_key():
    assert split_uri("s3://bucket/a/b c+d.json") == ("bucket", "a/b c+d.json")


@pytest.mark.parametrize("uri", ["bucket/key", "s3://bucket", "s3://bucket/", "s3:///key", "http://bucket/key", ""])
def test_anything_else_is_refused(uri):
    with pytest.raises(ConfigurationError, match="expected s3://<bucket>/<key>"):
        split_uri(uri)


def test_the_object_comes_whole(monkeypatch, tmp_path):
    set_credentials(monkeypatch)
    content = bytes(range(256)) * 9000
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="k", Body=content)
        download(client, "s3://bucket/k", tmp_path / "k")
        assert read_object(client, "s3://bucket/k") == (tmp_path / "k").read_bytes() == content


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
