"""Files between S3 and a container's folders, moved with the job's role as SageMaker moves them.

Covered: S3Prefix and ManifestFile in File mode (FastFile is downloaded), whole for each instance. Anything else is
refused by name.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from infra.local.iam.roles import as_role
from infra.local.kernel.cloud import Cloud


class MoveError(Exception):
    """The message is a FailureReason as SageMaker words it."""


def s3_of(cloud: Cloud, role_arn: str) -> Any:
    """An S3 client that is the role of a job or a model."""
    return as_role(cloud, role_arn, "s3", principal="sagemaker.amazonaws.com")


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`."""
    if not uri.startswith("s3://"):
        raise MoveError(f"ClientError: expected an S3 URI, got {uri}")
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def download(s3: Any, source: Mapping[str, Any], into: Path) -> list[str]:
    """The paths below `into` that an S3DataSource was written to.

    Raises MoveError when nothing is found or the role may not read."""
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
            _fetch(s3, place, into / name)
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
    # S3Prefix is a prefix of keys, not a folder: `s3://b/part` finds `part-1.csv` too, which then keeps its last name.
    bucket, prefix = split(uri)
    folder = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    for key in keys(s3, bucket, prefix):
        inside = key.removeprefix(folder) if key.startswith(folder) else key.rsplit("/", 1)[-1]
        if inside and not inside.endswith("/"):
            yield inside, (bucket, key)


def keys(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    for answer in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in answer.get("Contents", []):
            yield item["Key"]


def _manifest(s3: Any, uri: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """`[{"prefix": "s3://bucket/folder/"}, "key1", ...]`: the paths after the prefix are kept on disk."""
    bucket, key = split(uri)
    first, *names = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    bucket, prefix = split(first["prefix"])
    for name in names:
        yield name, (bucket, prefix + name)


def _fetch(s3: Any, source: tuple[str, str], path: Path) -> None:
    bucket, key = source
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for chunk in s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(1 << 20):
            file.write(chunk)


def upload(s3: Any, folder: Path, uri: str, *, kms_key: str | None = None) -> int:
    """How many files of `folder` were put below `uri`; links are not followed, as in SageMaker."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    for path in files:
        put(s3, path, f"{uri.rstrip('/')}/{path.relative_to(folder).as_posix()}", kms_key=kms_key)
    return len(files)


def put(s3: Any, path: Path, uri: str, *, kms_key: str | None = None) -> None:
    bucket, key = split(uri)
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
    try:
        s3.upload_file(str(path), bucket, key, ExtraArgs=encryption, Config=TransferConfig(use_threads=False))
    except Exception as error:
        # boto3's transfer wraps a refusal in an error class of its own.
        raise MoveError(f"ClientError: Data upload failed: {error}") from error


def pack(folder: Path, archive: Path) -> None:
    """`folder`'s content as a tar.gz whose members start at its root."""
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, arcname=path.name)


def unpack(archive: Path, into: Path) -> None:
    """The archive's files below `into`; members that point outside are refused."""
    into.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(into, filter="data")
    except tarfile.TarError as error:
        raise MoveError(f"ClientError: the model archive cannot be read: {error}") from error
