"""Finds the object of a drop, fetches it with its digest, and parses it into typed rows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import ValidationError

from millrace.contract.reasons import Reason
from millrace.contract.rules.image import MOST_BYTES
from millrace.contract.schema import Table, parsed_schema
from millrace.datasets.quarantine import QuarantineFile
from millrace.errors import DropError
from millrace.files.catalogue import LARGER, read_drop
from millrace.files.origin import RESOLUTION, Origin
from millrace.files.parsed import Limits, read_version
from millrace.functions.room import Room
from millrace.messages.envelope import StepInput
from millrace.messages.ingest import (
    SMALL_BYTES,
    DropInWork,
    FileList,
    IngestState,
    OfDrop,
    ParsedDrop,
    RejectedDrop,
    cut,
)
from millrace.names import WorkloadNames

PIECE_BYTES = 2**20
"""The bytes that are read from S3 at a time."""


@dataclass(frozen=True, kw_only=True)
class DropVersion:
    """One version of one object."""

    bucket: str
    key: str
    version_id: str
    """The version's id; empty for the newest version."""
    by: str = ""
    """What its metadata say of who has dropped it; known once it is read."""
    repairs: str = ""
    """What they say of the drop whose refused rows it mends."""

    @property
    def uri(self) -> str:
        """The object and its version as a URI, in valid UTF-8.

        A message may name half a surrogate pair, which no file can hold: it is written as an escape."""
        uri = f"s3://{self.bucket}/{self.key}?versionId={self.version_id}"
        return uri.encode(errors="backslashreplace").decode()


def feed_of(drop: DropInWork, names: WorkloadNames) -> DropVersion:
    """The folder of the drop's feed in the landing bucket, as a place without a version."""
    return DropVersion(bucket=names.platform.bucket("landing"), key=f"{names.workload}/{drop.feed}/", version_id="")


def find(s3: Any, drop: DropInWork, feed: DropVersion) -> DropVersion:
    """The object that the drop names; if it names none, the newest object below `feed`. `s3` is boto3's client.

    Raises DropError `missing` if the feed has no object."""
    if named := drop.object:
        return DropVersion(bucket=named.bucket or feed.bucket, key=named.key, version_id=named.version_id)
    # S3 lists by name, so all objects of the feed are looked at, a page at a time.
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=feed.bucket, Prefix=feed.key)
    found = (entry for page in pages for entry in page.get("Contents", []))
    newest = max(found, key=lambda entry: entry["LastModified"], default=None)
    if newest is None:
        raise DropError(Reason.MISSING, expected=f"an object below s3://{feed.bucket}/{feed.key}", got="none")
    return DropVersion(bucket=feed.bucket, key=newest["Key"], version_id="")


def fetch(s3: Any, source: DropVersion, path: Path, *, most_bytes: int) -> tuple[DropVersion, str]:
    """The version that was read, and the SHA-256 of its bytes. The bytes are in `path`.

    Raises the errors of `opened`."""
    answer = opened(s3, source, most_bytes=most_bytes, more=f"; {LARGER}")
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for piece in answer["Body"].iter_chunks(PIECE_BYTES):
            digest.update(piece)
            file.write(piece)
    return answered(source, answer), digest.hexdigest()


def answered(source: DropVersion, answer: Mapping[str, Any]) -> DropVersion:
    """The version that S3 has answered with."""
    said = {name: answer.get("Metadata", {}).get(name, "") for name in ("by", "repairs")}
    return replace(source, version_id=source.version_id or answer.get("VersionId", ""), **said)


def opened(s3: Any, source: DropVersion, *, most_bytes: int, more: str = "") -> dict[str, Any]:
    """S3's answer; its bytes are still to be read.

    Raises DropError `missing` if the version is gone, and `too_large` for more than `most_bytes`, before any byte is
    read. If fewer bytes come than S3 announced, reading them raises botocore's IncompleteReadError, and the machine
    tries again."""
    from botocore.exceptions import ParamValidationError

    # A message may name what no object can have: an empty key, or a name that is no UTF-8. botocore refuses it itself.
    version = {"VersionId": source.version_id} if source.version_id else {}
    try:
        answer: dict[str, Any] = read_version(s3, source.uri, Bucket=source.bucket, Key=source.key, **version)
    except (ParamValidationError, UnicodeEncodeError):
        expected = "the name of an object and of a version, in UTF-8"
        raise DropError(Reason.MISSING, expected=expected, got=source.uri) from None
    if answer["ContentLength"] > most_bytes:
        answer["Body"].close()
        raise DropError(
            Reason.TOO_LARGE, expected=f"{most_bytes} bytes at most{more}", got=str(answer["ContentLength"])
        )
    return answer


def origin_of(s3: Any, source: DropVersion, digest: str, drop: DropInWork, names: WorkloadNames) -> Origin:
    """What the rows of the drop may need beside its bytes. `digest` is the SHA-256 of the bytes."""

    def fetch_object(key: str, version_id: str) -> bytes:
        named = DropVersion(bucket=source.bucket, key=f"{names.workload}/objects/{key}", version_id=version_id)
        return bytes(opened(s3, named, most_bytes=MOST_BYTES)["Body"].read())

    folder = f"{names.workload}/{drop.feed}/"
    return Origin(name=source.key.removeprefix(folder), at=drop.as_of, digest=digest, fetch=fetch_object)


def fetch_listed(s3: Any, source: DropVersion, listed: Path, *, most_bytes: int) -> dict[Path, str]:
    """The small files of the list in the file `listed`, in their order beside it, each with its SHA-256.

    Raises DropError `foreign` if it is no list, and the errors of `fetch`."""
    try:
        files = FileList.model_validate_json(listed.read_bytes()).files
    except ValidationError as error:
        expected = "a list of files, as its name says"
        raise DropError(Reason.FOREIGN, expected=expected, got=error.errors()[0]["msg"]) from None
    found: dict[Path, str] = {}
    for file in files:
        if file.size <= SMALL_BYTES:
            key, path = file.key.rpartition("/")[2], listed.with_name(f"file-{len(found)}")
            one = DropVersion(bucket=source.bucket, key=f"{source.key.removesuffix('.json')}/{key}", version_id="")
            found[path] = fetch(s3, one, path, most_bytes=most_bytes)[1]
            most_bytes -= path.stat().st_size
    return found


def parse(
    files: Mapping[Path, Origin], table: Table, parsed: Path, refused: QuarantineFile, *, limits: Limits
) -> tuple[int, str]:
    """The number of typed rows of a drop's files, and what the columns of refused lines have that is unknown.

    Typed rows are written to `parsed`, the others to `refused`, by parts. Lines are counted through all files.

    Raises the DropErrors of `read_drop`; both files must then be thrown away."""
    typed, every, unknown = 0, 0, set[str]()
    # Each part becomes a row group, so validation can read the same parts again, one at a time.
    with pq.ParquetWriter(parsed, parsed_schema(table), compression="zstd", write_page_checksum=True) as writer:
        for path, origin in files.items():
            before = every
            for part in read_drop(path, table, limits, replace(origin, at=origin.at + before * RESOLUTION)):
                there = part.behind(before)
                violations = chain.from_iterable(row.violations for row in part.unparsable)
                unknown |= {one.column or "a long name" for one in violations if one.reason == Reason.UNKNOWN_FIELD}
                if part.rows.num_rows:
                    writer.write_table(there.rows)
                refused.add(there.unparsable)
                typed, every = typed + part.rows.num_rows, every + part.rows.num_rows + len(part.unparsable)
                if every > limits.rows:
                    raise DropError(Reason.TOO_LARGE, expected=f"{limits.rows} rows of all files at most", got="more")
    return typed, f"unknown: {', '.join(map(repr, sorted(unknown)))}" if unknown else ""


def tell_drifted(
    room: Room[Any], call: StepInput[IngestState], owner: str, drop: ParsedDrop | RejectedDrop, columns: str
) -> ParsedDrop | RejectedDrop:
    """The drop, behind the event `schema.drifted` if `columns` of it differ from the contract's."""
    if columns:
        from millrace.messages.events import SchemaDrifted  # with the classes of all events

        of = drop.model_dump(include=set(OfDrop.model_fields)) | {"rejected": isinstance(drop, RejectedDrop)}
        said = of | {"owner": owner, "columns": cut(columns)}
        room.tell(SchemaDrifted, cause=call.state.cause, run=call.execution_arn, **said)
    return drop
