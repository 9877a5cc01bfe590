"""What came: S3's event about a drop, the drops that go together, and the execution that they are given to.

Small drops of one feed go together: one execution, one commit, one transform job for all of them.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html (the event, as EventBridge delivers it)"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, ValidationError

from millrace.contract.schema import FEEDS, Feed
from millrace.errors import NoDropError
from millrace.messages.envelope import Message
from millrace.messages.ingest import MOST_TOGETHER, bytes_in_json
from millrace.names import MACHINE_OF_FEED, WorkloadNames, drop_id_of
from millrace.state.claims import Start

SMALL_BYTES, GROUP_BYTES = 2**20, 16 * 2**20
"""Of a drop that goes together with others, and of all drops of a group: one function reads them one by one."""
LONGEST_KEY, LONGEST_VERSION = 200, 64
"""Bytes in JSON: the state of an execution, 256 KiB at most, holds the names of its drops several times."""


class _Bucket(Message):
    name: str


class _Object(Message):
    key: str
    size: int = 0
    version_id: str = Field(default="", alias="version-id")
    sequencer: str = ""


class _Detail(Message):
    bucket: _Bucket
    object: _Object


class _Event(Message):
    id: str
    time: datetime
    source: Literal["aws.s3"]
    kind: Literal["Object Created"] = Field(alias="detail-type")
    detail: _Detail


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One version of one object that came, as S3's event tells."""

    machine: Literal["ingest", "score"]
    feed: Feed
    drop_id: str
    size: int
    """Bytes."""
    cause: str
    """The event's id."""
    as_of: str
    """The event's time, ISO 8601."""
    object: Mapping[str, Any]
    """As the input of the execution names it."""


def arrival_of(body: str, names: WorkloadNames) -> Arrival:
    """What the message tells; raises NoDropError that says what was expected and what came."""
    try:
        event = _Event.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(message)"
        raise NoDropError(f"{field}: {first['msg']}, came {str(first['input'])[:200]}") from None
    bucket, item = event.detail.bucket.name, event.detail.object
    feed, as_of = _feed(bucket, item.key, names), event.time.isoformat().replace("+00:00", "Z")
    drop_id = drop_id_of(bucket, item.key, item.version_id)
    return Arrival(
        machine=MACHINE_OF_FEED[feed],
        feed=feed,
        drop_id=drop_id,
        size=item.size,
        cause=event.id,
        as_of=as_of,
        object={
            "bucket": bucket,
            "key": item.key,
            "version_id": item.version_id,
            "size": item.size,
            "sequencer": item.sequencer,
            "drop_id": drop_id,
            "as_of": as_of,
        },
    )


def groups(arrivals: Iterable[Arrival], *, has_images: bool = False) -> Iterator[list[Arrival]]:
    """The drops, each once, as they go together; one that is not small is alone.

    `has_images`: rows may have images. A drop of theirs may be a manifest, whose objects count as its bytes do and are
    not known here; drops of labels have none."""
    small: dict[str, list[Arrival]] = {}
    for arrival in arrivals:
        if is_small(arrival) and not (has_images and arrival.feed != "labels"):
            small.setdefault(arrival.feed, []).append(arrival)
        else:
            yield [arrival]
    for of_feed in small.values():
        yield from _cut(of_feed)


def is_small(arrival: Arrival) -> bool:
    """Whether it goes together with others; a drop of unknown size does not."""
    key, version = bytes_in_json(arrival.object["key"]), bytes_in_json(arrival.object["version_id"])
    return 0 < arrival.size <= SMALL_BYTES and key <= LONGEST_KEY and version <= LONGEST_VERSION


def start_of(arrivals: Sequence[Arrival], names: WorkloadNames) -> Start:
    """One execution for drops of one feed, at least one; it counts the arrival of the last one as now.

    EventBridge delivers the same event with id and time unchanged, so a redelivery of a lone drop has the same
    bytes. Another event about the same version has the same name only."""
    last = max(arrivals, key=lambda each: each.as_of)
    objects = [dict(each.object) for each in arrivals]
    detail = {"workload": names.workload, "feed": last.feed, "objects": objects}
    document = {"cause": last.cause, "as_of": last.as_of, "detail": detail}
    ids = [each.drop_id for each in arrivals]
    name = ids[0] if len(ids) == 1 else hashlib.sha256("\n".join(ids).encode()).hexdigest()
    return Start(machine=last.machine, name=name, input=json.dumps(document, sort_keys=True))


def _feed(bucket: str, key: str, names: WorkloadNames) -> Feed:
    landing = names.platform.bucket("landing")
    workload, _, rest = key.partition("/")
    folder, _, name = rest.partition("/")
    feed = next((one for one in FEEDS if one == folder), None)
    if bucket != landing or workload != names.workload or feed is None or not name:
        expected = f"s3://{landing}/{names.workload}/<{'|'.join(MACHINE_OF_FEED)}>/<name>"
        raise NoDropError(f"detail.object.key: expected {expected}, came s3://{bucket}/{key}")
    return feed


def _cut(arrivals: list[Arrival]) -> Iterator[list[Arrival]]:
    part: list[Arrival] = []
    for arrival in arrivals:
        if len(part) == MOST_TOGETHER or sum(each.size for each in part) + arrival.size > GROUP_BYTES:
            yield part
            part = []
        part.append(arrival)
    yield part
