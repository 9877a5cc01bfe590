"""Moves files between S3 and the folders of a container, by the permissions of the job's role, as SageMaker does.

Covered: S3Prefix and ManifestFile in File mode. In FastFile mode the files are downloaded too. Every instance gets all
files. Anything else is refused by name.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from localcloud.iam.roles import as_role
from localcloud.kernel.cloud import Cloud

_PLACE = re.compile(r"(?:s3://|https://s3[.-][a-z0-9-]+\.amazonaws\.com/)(?P<bucket>[^/]+)(?:/(?P<key>.*))?")


class MoveError(Exception):
    """Files could not be moved. The message is a FailureReason as SageMaker words it."""


def s3_of(cloud: Cloud, role_arn: str) -> Any:
    """An S3 client with the keys of the role of a job or a model.

    Raises PermissionError if the role does not trust SageMaker."""
    return as_role(cloud, role_arn, "s3", principal="sagemaker.amazonaws.com")


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`, or of `https://s3.REGION.amazonaws.com/bucket/key`, as the CDK writes it.

    Raises MoveError for anything else."""
    if not (found := _PLACE.fullmatch(uri)):
        raise MoveError(f"ClientError: expected an S3 URI, got {uri}")
    return found["bucket"], found["key"] or ""


def download(s3: Any, source: Mapping[str, Any], into: Path) -> list[str]:
    """Download the objects of an S3DataSource and return the paths of the files, sorted and relative to `into`.

    Raises MoveError if nothing is found, if the role may not read, or for an S3DataType that is not covered."""
    kind = source.get("S3DataType", "S3Prefix")
    if kind not in {"S3Prefix", "ManifestFile"}:
        raise MoveError(f"ClientError: the local cloud does not cover S3DataType {kind}")
    into.mkdir(parents=True, exist_ok=True)
    try:
        found = dict(_manifest(s3, source["S3Uri"]) if kind == "ManifestFile" else _prefix(s3, source["S3Uri"]))
        if not found:
            raise MoveError(_nothing_found(source["S3Uri"]))
        # One after the other: the client calls the cloud in this process, where threads would only wait for each other.
        for name, place in found.items():
            fetch(s3, place, into / name)
    except ClientError as error:
        raise MoveError(f"ClientError: Data download failed:{error} ({source['S3Uri']})") from error
    return sorted(found)


def _nothing_found(uri: str) -> str:
    return (
        f'ClientError: Data download failed:No S3 objects found under S3 URL "{uri}" given in input data source. '
        "Please ensure that the bucket exists in the selected region, that objects exist under that S3 prefix, "
        "and that the role has s3:ListBucket permissions on the bucket."
    )


def _prefix(s3: Any, uri: str) -> Iterator[tuple[str, tuple[str, str]]]:
    # S3Prefix is a prefix of keys, not a folder: `s3://b/in/part` finds `in/part-1.csv` too. The file of such a key has
    # the name after its last slash. A key that ends with a slash stands for a folder and gets no file.
    bucket, prefix = split(uri)
    folder = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    for key in keys(s3, bucket, prefix):
        inside = key.removeprefix(folder) if key.startswith(folder) else key.rsplit("/", 1)[-1]
        if inside and not inside.endswith("/"):
            yield inside, (bucket, key)


def keys(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    """Yields the keys of the bucket that begin with the prefix."""
    for answer in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in answer.get("Contents", []):
            yield item["Key"]


def _manifest(s3: Any, uri: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yields the path below the channel and (bucket, key) of each object that a manifest lists.

    A manifest is `[{"prefix": "s3://bucket/folder/"}, "a/1.csv", "2.csv"]`. The files keep their paths after the
    prefix."""
    bucket, key = split(uri)
    first, *names = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    bucket, prefix = split(first["prefix"])
    for name in names:
        yield name, (bucket, prefix + name)


def fetch(s3: Any, source: tuple[str, str], path: Path) -> None:
    """Write the object, its bucket and its key, to `path`."""
    bucket, key = source
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for chunk in s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(1 << 20):
            file.write(chunk)


def upload(s3: Any, folder: Path, uri: str, *, kms_key: str | None = None) -> int:
    """Put the files of `folder` below `uri` and return how many there were. Raises MoveError as `put` does.

    Symbolic links are not followed, as in SageMaker."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    for path in files:
        put(s3, path, f"{uri.rstrip('/')}/{path.relative_to(folder).as_posix()}", kms_key=kms_key)
    return len(files)


def put(s3: Any, path: Path, uri: str, *, kms_key: str | None = None) -> None:
    """Put one file at `uri`, under the KMS key if there is one. Raises MoveError if it cannot be put."""
    bucket, key = split(uri)
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
    try:
        s3.upload_file(str(path), bucket, key, ExtraArgs=encryption, Config=TransferConfig(use_threads=False))
    except Exception as error:
        # Any error: boto3's transfer wraps a refusal in an error class of its own.
        raise MoveError(f"ClientError: Data upload failed: {error}") from error


def pack(folder: Path, archive: Path) -> None:
    """Write the content of `folder` as a tar.gz. Its members start at its root: `a.onnx`, not `model/a.onnx`."""
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, arcname=path.name)


def unpack(archive: Path, into: Path) -> None:
    """Unpack a tar.gz below `into`. Raises MoveError for a damaged archive, and for a member that points outside."""
    into.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(into, filter="data")
    except tarfile.TarError as error:
        raise MoveError(f"ClientError: the model archive cannot be read: {error}") from error
