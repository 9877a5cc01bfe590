"""Amazon S3: events of objects, conditional puts.

AWS does: send one event per written object, with an id and growing sequencers; let one of two conditional puts through.
moto does: repeat ids and sequencers, send two events for a multipart upload and none for a delete marker; let both
    through when they come at once.
We do: rewrite the events that go to EventBridge; let one conditional put at a time look and write.
Weaker: notifications to queues and functions keep moto's shape; lifecycle and access logs are settings only.
"""

from infra.local.kernel.cloud import Cloud
from infra.local.s3.conditional_writes import make_conditional_puts_atomic
from infra.local.s3.object_events import send_object_events


def install(cloud: Cloud) -> None:
    send_object_events(cloud)
    make_conditional_puts_atomic()
