"""All that a stage keeps, byte by byte: what an erasure must have left nobody in."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.avro.file import AvroFile
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.typedef import Record

from millrace.console.local_cloud.local_cloud import LocalCloud
from tests.archives import untarred
from tests.end_to_end.callers import typed

PACKED = re.compile(rb"[A-Za-z0-9+/]{80,}={0,2}")
"""Base64 of an image or of a stream of rows."""


def everything(cloud: LocalCloud) -> Iterator[tuple[str, bytes]]:
    """The name and the bytes of all that is kept: of packed files also what is in them. Mails are their readers'."""
    s3, dynamodb, sqs, logs = (cloud.client(service) for service in ("s3", "dynamodb", "sqs", "logs"))
    for bucket in (one["Name"] for one in s3.list_buckets()["Buckets"]):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for one in page.get("Versions", ()):
                body = s3.get_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])["Body"].read()
                yield f"s3://{bucket}/{one['Key']}", b"\n".join([one["Key"].encode(), *plain(body)])
    for table in dynamodb.list_tables()["TableNames"]:
        for page in dynamodb.get_paginator("scan").paginate(TableName=table):
            for item in page["Items"]:
                answer = json.loads(item["data"]["S"]) if item["sk"]["S"].startswith("request#") else ""
                kept = zlib.decompress(base64.b64decode(answer)) if answer else b""
                yield f"{table} {item['sk']['S']}", repr(item).encode() + kept
    for url in sqs.list_queues().get("QueueUrls", ()):
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        yield from ((url, one["Body"].encode()) for one in found.get("Messages", ()))
    for groups in logs.get_paginator("describe_log_groups").paginate():
        for group in {one["logGroupName"] for one in groups["logGroups"]} - {"/local/mail"}:
            for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group):
                yield from ((group, one["message"].encode()) for one in page["events"])


def plain(body: bytes) -> Iterator[bytes]:
    """The bytes of a file and of what is packed in it."""
    yield body
    if body.startswith(b"PAR1"):
        yield from cells(pq.read_table(io.BytesIO(body)))
    elif body.startswith(b"ARROW1"):
        yield from cells(pa.ipc.open_file(body).read_all())
    elif body.startswith(b"\xff\xff\xff\xff"):
        yield from cells(pa.ipc.open_stream(body).read_all())
    elif body.startswith(b"Obj"):
        with NamedTemporaryFile() as file:
            Path(file.name).write_bytes(body)
            with AvroFile[Record](PyArrowFileIO().new_input(file.name)) as records:
                yield repr(list(records)).encode()
    elif body.startswith(b"\x1f\x8b"):
        inner = gzip.decompress(body)
        yield from plain(inner)
        if inner[257:262] == b"ustar":
            yield from (part for file in untarred(body).values() for part in plain(file))
    else:
        for packed in PACKED.findall(body):
            yield from plain(base64.b64decode(packed[: len(packed) // 4 * 4]))


def cells(table: pa.Table) -> Iterator[bytes]:
    """The rows as text, and each cell of bytes as it is."""
    rows = table.to_pylist()
    yield repr(rows).encode()
    yield from (cell for row in rows for cell in row.values() if isinstance(cell, bytes))


def whereabouts(cloud: LocalCloud, known: Callable[[bytes], set[str]]) -> dict[str, set[str]]:
    """Whom `known` finds in which store; the keys of a store without numbers and names of runs."""
    found = defaultdict[str, set[str]](set)
    for name, body in everything(cloud):
        found[re.sub(r"(?<![a-z])[0-9a-f-]{12,}(?![a-z])|\d+", "#", name)] |= known(body)
    return {store: people for store, people in found.items() if people}


def check_forgotten(cloud: LocalCloud, workload: str, people: set[str], known: Callable[[bytes], set[str]]) -> None:
    """Erase the people by a command, and look for them in every byte."""
    with TemporaryDirectory() as folder:
        (file := Path(folder, "people.txt")).write_text("\n".join(people))
        words = ("--cells", str(file), "--reason", "ticket 4711", "--certificate", f"{folder}/erased.json")
        done = typed("erase", "--key", "id", *words, "--workload", workload)
    found = whereabouts(cloud, known)
    assert {store: sorted(them & people)[:3] for store, them in found.items() if them & people} == {}
    assert [one for one in done["stores"] if one["left"]] == []
