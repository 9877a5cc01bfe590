"""Amazon S3: events of objects, conditional puts, a bound for objects.

AWS does: send one event for each written object, with an id and a growing sequencer. Of two conditional puts of a key
    at once it lets one through.
moto does: repeat ids and sequencers, send two events for a multipart upload and none for a delete marker. Of two
    conditional puts at once it lets both through. It holds an object three times to put its parts together.
We do: rewrite the events that go to EventBridge. One conditional put at a time may look for the key and write it.
    Refuse an object that would use up the memory of this machine, at the part that goes beyond.
Weaker: an object has 1 GiB at most. Notifications to queues and functions keep moto's shape. Lifecycle rules and access
    logs are settings only.
"""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from typing import Any

from localcloud.kernel.bus import deliver
from localcloud.kernel.cloud import ACCOUNT, Cloud
from localcloud.kernel.patching import replace

# Sends S3's events as AWS does: each with its own id, growing sequencers, one event for each written object.
#
# moto gives every event the same id, sequencer and request id. It names the reason wrongly (`ObjectCreated` for
# `PutObject`), and writes `eTag` where AWS writes `etag`. It sends two events for a multipart upload, one more for the
# tags of each put, and none for a delete marker. It offers the events to every bus, before the object has its metadata
# and tags. Here what happens to an object within a request is sent once, when the request is done:
#
#     PutObject with tags begins   changes = []
#     moto writes the object       changes = [ObjectCreated:Put]
#     moto sets the tags           changes = [ObjectCreated:Put, ObjectTagging:Put]
#     PutObject ends               one event: "Object Created"
#
# Only events to EventBridge are rewritten. Notifications to queues and functions keep moto's shape.

# S3's reasons in events to EventBridge, by the kinds of its classic notifications.
_REASONS = {
    "ObjectCreated:Put": "PutObject",
    "ObjectCreated:Post": "POST Object",
    "ObjectCreated:Copy": "CopyObject",
    "ObjectCreated:CompleteMultipartUpload": "CompleteMultipartUpload",
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """What has happened to one object."""

    kind: str
    """In the words of S3's classic notifications: `ObjectCreated:Put`."""
    bucket: Any
    """moto's bucket."""
    key: str
    size: int = 0
    """Bytes."""
    etag: str = ""
    version_id: str = ""
    deletion_type: str = ""

    @property
    def is_creation(self) -> bool:
        """Whether an object, or a version of it, was written."""
        return self.kind.startswith("ObjectCreated")


class _Request(threading.local):
    """The changes that the request of this thread has made so far; None outside a request."""

    changes: list[Change] | None = None


def send_object_events(cloud: Cloud) -> None:
    """Send the events of objects to the default bus from now on. May go when moto's events are as AWS's."""
    notifications: Any = import_module("moto.s3.notifications")
    # The sequence begins with the machine's time, so that a later cloud has greater sequencers than an earlier one.
    request = _Request()
    sequence = itertools.count(time.time_ns())

    def send(change: Change) -> None:
        if request.changes is None:
            _deliver(cloud, change, next(sequence))
        else:
            request.changes.append(change)

    @contextmanager
    def sent_at_the_end() -> Iterator[None]:
        # Two handlers of moto are surrounded, and one may call the other. Only the outer one sends.
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

    # A private function of moto, which is called for each event of a bucket that sends events to EventBridge. Deletions
    # come from `_send_deletions` instead, which tells a delete marker from a deletion.
    def send_event(_: str, bucket: Any, event_name: Any, key: Any) -> None:
        kind = str(getattr(event_name, "value", event_name)).removeprefix("s3:")
        if not kind.startswith("ObjectRemoved"):
            send(_change(kind, bucket, key))

    replace(notifications, _send_event_bridge_message=send_event)
    _send_deletions(import_module("moto.s3.models").S3Backend, send)
    for name in ("key_response", "bucket_response"):
        _surround(import_module("moto.s3.responses").S3Response, name, sent_at_the_end)


def _once_per_object(changes: list[Change]) -> list[Change]:
    """The changes to send. The last creation of an object stands for all that the request has done to it.

    That is an inner put, its tags and its permissions."""
    created = {(change.bucket.name, change.key): change for change in changes if change.is_creation}
    kept = [change for change in changes if (change.bucket.name, change.key) not in created]
    return [*created.values(), *kept]


def _surround(kind: Any, name: str, surrounding: Callable[[], Any]) -> None:
    """Let the method of the class run within the context that `surrounding` makes."""
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
        # Without a version, in a bucket with versions, S3 only puts a delete marker on top.
        configuration = bucket.notification_configuration
        if is_deleted and configuration is not None and configuration.event_bridge is not None:
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


def _change(kind: str, bucket: Any, key: Any) -> Change:
    """The change for an object of moto."""
    version_id = "" if key.version_id in (None, "null") else str(key.version_id)
    etag = key.etag.replace('"', "")
    return Change(kind=kind, bucket=bucket, key=key.name, size=key.size, etag=etag, version_id=version_id)


def _deliver(cloud: Cloud, change: Change, sequence: int) -> None:
    # A deletion has no size and no etag, an object of a bucket without versions no version id.
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


def install(cloud: Cloud) -> None:
    send_object_events(cloud)
    make_conditional_puts_atomic()
    bound_objects()


CONDITIONS = ("If-None-Match", "If-Match")
"""The headers that make a put conditional."""


def make_conditional_puts_atomic() -> None:
    """Make the test and the write of a conditional put one step. May go when moto holds a lock for both."""
    response: Any = import_module("moto.s3.responses").S3Response
    put = response.put_object
    # One lock for all buckets. Puts without a condition do not take it.
    writing = threading.Lock()

    @wraps(put)
    def put_object(self: Any) -> Any:
        if not any(self.headers.get(name) for name in CONDITIONS):
            return put(self)
        with writing:
            return put(self)

    replace(response, put_object=put_object)


MOST_BYTES = 2**30
"""The largest object."""


def bound_objects() -> None:
    """Refuse an object above MOST_BYTES by its error on AWS. May go when moto puts parts together on disk."""
    backend: Any = import_module("moto.s3.models").S3Backend
    put, upload = backend.put_object, backend.upload_part

    def put_object(self: Any, bucket_name: str, key_name: str, value: bytes, *given: Any, **named: Any) -> Any:
        _check_size(len(value))
        return put(self, bucket_name, key_name, value, *given, **named)

    def upload_part(self: Any, bucket_name: str, multipart_id: str, part_id: int, value: bytes) -> Any:
        parts = self.get_bucket(bucket_name).multiparts[multipart_id].parts
        _check_size(len(value) + sum(part.contentsize for number, part in parts.items() if number != part_id))
        return upload(self, bucket_name, multipart_id, part_id, value)

    replace(backend, put_object=put_object, upload_part=upload_part)


def _check_size(size: int) -> None:
    from moto.s3.exceptions import S3ClientError

    if size > MOST_BYTES:
        said = f"Your proposed upload exceeds the maximum allowed object size: {MOST_BYTES} bytes in the local cloud"
        raise S3ClientError("EntityTooLarge", said)
