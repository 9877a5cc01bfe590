"""Who read which object: the stage's trail, as CloudTrail delivers it into the locked bucket."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from millrace.aws.objects import read_object
from millrace.console.environment import Environment
from millrace.console.queries.audit import READERS
from millrace.console.words import column
from millrace.names import QUERY_RESULTS, Platform
from millrace.operations.trail import trail_logs
from millrace.timestamps import parse_utc

KINDS = {
    ("landing", "objects"): "image",
    ("lake", "captured"): "image",
    ("lake", "decisions"): "decisions",
    ("lake", "iceberg"): "table rows",
    ("lake", "quarantine"): "refused rows",
    ("lake", QUERY_RESULTS): "query result",
}
"""What lies in a folder of a bucket."""
OTHERS = {"landing": "dropped file", "lake": "working file", "artefacts": "model artefact"}
"""What lies in all other folders, by the bucket's purpose; no other bucket is recorded."""


@dataclass(frozen=True, kw_only=True)
class Read:
    """One object that was read."""

    at: datetime = column()
    who: str = column()
    """`scientist-electricity/ann` is a person's role and session, `electricity-validation` a function or a job."""
    kind: str = column()
    """What was read: `table rows`."""
    object: str = column()
    """`s3://…`."""


def find_reads(environment: Environment, since: datetime | None, workload: str, person: str, file: str) -> list[Read]:
    """The reads from `since` on, the newest first: of this workload, by whose name and of whose object these are parts.
    Without `since` those of a day.

    An empty text means all. A read is there some minutes later. One that was refused is none."""
    begin = (since or environment.now() - timedelta(days=1)).astimezone(UTC)
    s3, bucket = environment.client("s3"), environment.platform.bucket("audit")
    with ThreadPoolExecutor(READERS) as readers:
        bodies = readers.map(lambda key: read_object(s3, f"s3://{bucket}/{key}"), _keys(environment, begin))
        # CloudTrail may deliver an event twice.
        records = {one["eventID"]: one for body in bodies for one in json.loads(gzip.decompress(body))["Records"]}
    reads = [_read(environment.platform, one) for one in records.values() if "errorCode" not in one]
    within = f"/{workload}/" if workload else ""
    found = [one for one in reads if person in one.who and within in one.object and file in one.object]
    return sorted((one for one in found if one.at >= begin), key=lambda one: one.at, reverse=True)


def _keys(environment: Environment, since: datetime) -> Iterator[str]:
    """The keys of the trail's files from the day of `since` on: those of a day are below a folder of the day."""
    platform, now = environment.platform, environment.now()
    for ago in range((now.date() - since.date()).days + 1):
        folder = f"{trail_logs(platform)}/{now - timedelta(days=ago):%Y/%m/%d}/"
        below = {"Bucket": platform.bucket("audit"), "Prefix": folder}
        yield from (one["Key"] for one in environment.listed("s3", "list_objects_v2", "Contents", **below))


def _read(platform: Platform, record: Mapping[str, Any]) -> Read:
    bucket, key = (record["requestParameters"][part] for part in ("bucketName", "key"))
    purpose = next(one for one in OTHERS if bucket == platform.bucket(one))
    folder = QUERY_RESULTS if key.startswith(f"{QUERY_RESULTS}/") else key.split("/")[1]
    return Read(
        at=parse_utc(record["eventTime"]),
        who=_who(platform, record["userIdentity"]),
        kind=KINDS.get((purpose, folder), OTHERS[purpose]),
        object=f"s3://{bucket}/{key}",
    )


def _who(platform: Platform, identity: Mapping[str, Any]) -> str:
    """A role of the stage by its owner, anybody else by role and session, or as IAM names them."""
    name = str(identity.get("arn") or identity.get("invokedBy") or identity["type"])
    who = name.rpartition(":")[2].removeprefix("assumed-role/")
    owner = who.removeprefix(f"{platform.prefix}-")
    return who if owner == who else owner.partition("/")[0]
