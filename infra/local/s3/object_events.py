"""S3 events as AWS sends them: an id each, growing sequencers, one event per object written.

moto gives every event the same id, sequencer and request id, names the reason wrongly (`ObjectCreated` for
`PutObject`), sends two events for a multipart upload and one more for the tags of each put, none for a delete marker,
writes `eTag` where AWS writes `etag`, and offers them to every bus, before metadata and tags of the object are set.
Here what happens to an object within a request is sent once, when the request is done. Only events to EventBridge are
rewritten; notifications to queues and functions keep moto's shape."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from infra.local.kernel.bus import deliver
from infra.local.kernel.cloud import ACCOUNT, Cloud
from infra.local.kernel.patching import replace

_REASONS = {
    "ObjectCreated:Put": "PutObject",
    "ObjectCreated:Post": "POST Object",
    "ObjectCreated:Copy": "CopyObject",
    "ObjectCreated:CompleteMultipartUpload": "CompleteMultipartUpload",
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """What happened to one object; `kind` in the words of S3's classic notifications (`ObjectCreated:Put`)."""

    kind: str
    bucket: Any
    key: str
    size: int = 0
    etag: str = ""
    version_id: str = ""
    deletion_type: str = ""

    @property
    def is_creation(self) -> bool:
        return self.kind.startswith("ObjectCreated")


class _Request(threading.local):
    """The changes made so far by the request that this thread serves; None outside a request."""

    changes: list[Change] | None = None


def send_object_events(cloud: Cloud) -> None:
    notifications: Any = import_module("moto.s3.notifications")
    # From the machine's time on, so that a later cloud's sequencers are greater than those of an earlier one.
    request = _Request()
    sequence = itertools.count(time.time_ns())

    def send(change: Change) -> None:
        if request.changes is None:
            _deliver(cloud, change, next(sequence))
        else:
            request.changes.append(change)

    @contextmanager
    def sent_at_the_end() -> Iterator[None]:
        # Both handlers of moto are surrounded, and one may call the other: the outer one sends.
        if request.changes is not None:
            yield
            return
        request.changes = []
        try:
            yield
        finally:
            changes, request.changes = request.changes, None
            for change in _once_per_object(changes):
                _deliver(cloud, change, next(sequence))

    def send_event(_: str, bucket: Any, event_name: Any, key: Any) -> None:
        kind = str(getattr(event_name, "value", event_name)).removeprefix("s3:")
        if not kind.startswith("ObjectRemoved"):
            send(_change(kind, bucket, key))

    replace(notifications, _send_event_bridge_message=send_event)
    _send_deletions(import_module("moto.s3.models").S3Backend, send)
    for name in ("key_response", "bucket_response"):
        _surround(import_module("moto.s3.responses").S3Response, name, sent_at_the_end)


def _once_per_object(changes: list[Change]) -> list[Change]:
    """The last creation of an object stands for all that its request did to it: inner put, tags, permissions."""
    created = {(change.bucket.name, change.key): change for change in changes if change.is_creation}
    kept = [change for change in changes if (change.bucket.name, change.key) not in created]
    return [*created.values(), *kept]


def _surround(kind: Any, name: str, surrounding: Callable[[], Any]) -> None:
    handle = getattr(kind, name)

    def surrounded(self: Any, *arguments: Any, **named: Any) -> Any:
        with surrounding():
            return handle(self, *arguments, **named)

    replace(kind, **{name: surrounded})


def _send_deletions(backend: Any, send: Callable[[Change], None]) -> None:
    delete = backend.delete_object

    def delete_object(
        self: Any, bucket_name: str, key_name: str, version_id: str | None = None, bypass: bool = False
    ) -> Any:
        is_deleted, meta = delete(self, bucket_name, key_name, version_id, bypass)
        bucket = self.get_bucket(bucket_name)
        if is_deleted and _goes_to_eventbridge(bucket):
            is_marker = version_id is None and bucket.is_versioned
            send(
                Change(
                    kind="ObjectRemoved:DeleteMarkerCreated" if is_marker else "ObjectRemoved:Delete",
                    bucket=bucket,
                    key=key_name,
                    version_id=str(meta.get("version-id") or ""),
                    deletion_type="Delete Marker Created" if is_marker else "Permanently Deleted",
                )
            )
        return is_deleted, meta

    replace(backend, delete_object=delete_object)


def _goes_to_eventbridge(bucket: Any) -> bool:
    configuration = bucket.notification_configuration
    return configuration is not None and configuration.event_bridge is not None


def _change(kind: str, bucket: Any, key: Any) -> Change:
    version_id = "" if key.version_id in (None, "null") else str(key.version_id)
    etag = key.etag.replace('"', "")
    return Change(kind=kind, bucket=bucket, key=key.name, size=key.size, etag=etag, version_id=version_id)


def _deliver(cloud: Cloud, change: Change, sequence: int) -> None:
    from moto.s3.notifications import _detail_type

    shown: dict[str, Any] = {"key": change.key}
    if not change.deletion_type:
        shown |= {"size": change.size, "etag": change.etag}
    if change.version_id:
        shown["version-id"] = change.version_id
    detail = {
        "version": "0",
        "bucket": {"name": change.bucket.name},
        "object": {**shown, "sequencer": f"{sequence:018X}"},
        "request-id": uuid.uuid4().hex[:16].upper(),
        "requester": ACCOUNT,
        "source-ip-address": "127.0.0.1",
    }
    if change.is_creation:
        detail["reason"] = _REASONS[change.kind]
    if change.deletion_type:
        detail |= {"reason": "DeleteObject", "deletion-type": change.deletion_type}
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": _detail_type(f"s3:{change.kind}"),
        "source": "aws.s3",
        "account": ACCOUNT,
        "time": cloud.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": change.bucket.region_name,
        "resources": [change.bucket.arn],
        "detail": detail,
    }
    deliver(event, bus="default")
