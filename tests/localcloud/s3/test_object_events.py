"""One true event per object written or deleted."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from localcloud.awslambda import functions
from localcloud.kernel.cloud import Cloud
from localcloud.s3 import install
from tests.localcloud.resources import Resources
from tests.localcloud.waiting import until


@pytest.fixture
def told(cloud: Cloud, aws: Resources) -> tuple[str, Callable[[], list[Any]]]:
    """A versioned bucket, and what gives the events about it so far."""
    bucket, s3 = aws.bucket(), aws.client("s3")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
    queue = aws.heard(source=["aws.s3"], detail={"bucket": {"name": [bucket]}})

    def events() -> list[Any]:
        until(lambda: not functions.pending(cloud))
        return queue.bodies()

    return bucket, events


def test_a_put_is_one_event_with_aws_names(client: Any, told: Any) -> None:
    bucket, events = told
    answer = client("s3").put_object(Bucket=bucket, Key="a b+c.csv", Body=b"12345", Tagging="x=1")
    (event,) = events()
    assert (event["detail-type"], event["detail"]["reason"]) == ("Object Created", "PutObject")
    seen = event["detail"]["object"]
    assert seen.pop("sequencer")
    assert seen == {
        "key": "a b+c.csv",
        "size": 5,
        "etag": answer["ETag"].strip('"'),
        "version-id": answer["VersionId"],
    }


def test_a_multipart_upload_is_one_event(client: Any, told: Any) -> None:
    bucket, events = told
    config = TransferConfig(multipart_threshold=5 * 2**20, multipart_chunksize=5 * 2**20, use_threads=False)
    client("s3").upload_fileobj(io.BytesIO(b"x" * (11 * 2**20)), bucket, "large", Config=config)
    (event,) = events()
    assert event["detail"]["reason"] == "CompleteMultipartUpload"
    assert event["detail"]["object"]["size"] == 11 * 2**20
    client("s3").put_object(Bucket=bucket, Key="after", Body=b"x")
    assert [event["detail"]["reason"] for event in events()] == ["PutObject"]


def test_copies_deletions_and_tags(client: Any, told: Any) -> None:
    bucket, events = told
    s3 = client("s3")
    version = s3.put_object(Bucket=bucket, Key="a", Body=b"x")["VersionId"]
    s3.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "a"})
    s3.delete_object(Bucket=bucket, Key="a")
    s3.delete_object(Bucket=bucket, Key="a", VersionId=version)
    s3.put_object_tagging(Bucket=bucket, Key="b", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    seen = [
        (event["detail-type"], event["detail"]["object"]["key"], event["detail"].get("deletion-type"))
        for event in sorted(events(), key=lambda event: event["detail"]["object"]["sequencer"])
    ]
    assert seen == [
        ("Object Created", "a", None),
        ("Object Created", "b", None),
        ("Object Deleted", "a", "Delete Marker Created"),
        ("Object Deleted", "a", "Permanently Deleted"),
        ("Object Tags Added", "b", None),
    ]


def test_an_object_that_would_use_up_the_memory_is_refused_at_a_part(
    client: Any, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "MOST_BYTES", 6 * 2**20)
    bucket, events = told
    parts = TransferConfig(multipart_threshold=2**20, multipart_chunksize=5 * 2**20, use_threads=False)
    with pytest.raises(ClientError, match="EntityTooLarge"):
        client("s3").upload_fileobj(io.BytesIO(bytes(11 * 2**20)), bucket, "large", Config=parts)
    assert events() == []


def test_ids_differ_and_sequencers_grow(client: Any, told: Any) -> None:
    bucket, events = told
    for _ in range(3):
        client("s3").put_object(Bucket=bucket, Key="same", Body=b"x")
    told_events = sorted(events(), key=lambda event: event["detail"]["object"]["sequencer"])
    assert len({event["id"] for event in told_events}) == 3
    assert len({event["detail"]["object"]["sequencer"] for event in told_events}) == 3
    versions = client("s3").list_object_versions(Bucket=bucket)["Versions"]
    latest = next(version["VersionId"] for version in versions if version["IsLatest"])
    assert told_events[-1]["detail"]["object"]["version-id"] == latest
