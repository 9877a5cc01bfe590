"""Amazon S3: events of objects, conditional puts.

AWS does: send one event for each written object, with an id and a growing sequencer. Of two conditional puts of a key
    at once it lets one through.
moto does: repeat ids and sequencers, send two events for a multipart upload and none for a delete marker. Of two
    conditional puts at once it lets both through.
We do: rewrite the events that go to EventBridge. One conditional put at a time may look for the key and write it.
Weaker: notifications to queues and functions keep moto's shape. Lifecycle rules and access logs are settings only.
"""

import threading
from functools import wraps
from importlib import import_module
from typing import Any

from infra.local.kernel.cloud import Cloud
from infra.local.kernel.patching import replace
from infra.local.s3.object_events import send_object_events


def install(cloud: Cloud) -> None:
    send_object_events(cloud)
    make_conditional_puts_atomic()


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
