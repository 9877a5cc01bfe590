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

import threading
from functools import wraps
from importlib import import_module
from typing import Any

from localcloud.kernel.cloud import Cloud
from localcloud.kernel.patching import replace
from localcloud.s3.object_events import send_object_events


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
