"""Amazon S3: events of objects, conditional puts.

AWS does: send one event for each written object, with an id and a growing sequencer. Of two conditional puts of a key
    at once it lets one through.
moto does: repeat ids and sequencers, send two events for a multipart upload and none for a delete marker. Of two
    conditional puts at once it lets both through.
We do: rewrite the events that go to EventBridge. One conditional put at a time may look for the key and write it.
Weaker: notifications to queues and functions keep moto's shape. Lifecycle rules and access logs are settings only.
"""

from infra.local.kernel.cloud import Cloud
from infra.local.s3.conditional_writes import make_conditional_puts_atomic
from infra.local.s3.object_events import send_object_events


def install(cloud: Cloud) -> None:
    send_object_events(cloud)
    make_conditional_puts_atomic()
