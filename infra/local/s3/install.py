"""Amazon S3: events of objects.

AWS does: send one event per written object, with an id and growing sequencers.
moto does: repeat ids and sequencers, send two events for a multipart upload and none for a delete marker.
We do: rewrite the events that go to EventBridge.
Weaker: notifications to queues and functions keep moto's shape; lifecycle and access logs are settings only.
"""

from infra.local.kernel.cloud import Cloud
from infra.local.s3.object_events import send_object_events


def install(cloud: Cloud) -> None:
    send_object_events(cloud)
