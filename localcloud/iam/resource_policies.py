"""Finds the policy of a resource itself: of a bucket, a queue, a topic, a key, a bus or a group of versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from localcloud.iam.policies import Request, text_of
from localcloud.kernel.cloud import ACCOUNT, REGION, Cloud


def resource_policies(cloud: Cloud, request: Request) -> Iterator[str]:
    """The policy of the resource that the request names, as JSON text; nothing if it has none."""
    name = request.resources[0]
    service = name.split(":")[2] if name.startswith("arn:") else ""
    document = _READERS[service](name) if service in _READERS else None
    if service == "sagemaker" and ":model-package" in name:
        from localcloud.sagemaker.registry import policy_of

        document = policy_of(cloud, name.split("/")[1])
    if document:
        yield text_of(document)


def _bucket_policy(arn: str) -> Any:
    from moto.s3.models import s3_backends

    name = arn.rpartition(":")[2].partition("/")[0]
    owner = s3_backends.bucket_accounts.get(name, ("", ACCOUNT))[1]
    bucket = s3_backends[owner]["aws"].buckets.get(name)
    return bucket.policy if bucket else None


def _queue_policy(arn: str) -> Any:
    from moto.sqs.models import sqs_backends

    queue = sqs_backends[ACCOUNT][REGION].queues.get(arn.rpartition(":")[2])
    return queue.policy if queue else None


def _topic_policy(arn: str) -> Any:
    from moto.sns.models import sns_backends

    topic = sns_backends[ACCOUNT][REGION].topics.get(arn)
    return topic.policy if topic else None


def _key_policy(arn: str) -> Any:
    from moto.kms.models import kms_backends

    key = kms_backends[arn.split(":")[4]][REGION].keys.get(arn.rpartition("/")[2])
    return key.policy if key else None


def _bus_policy(arn: str) -> Any:
    from moto.events.models import events_backends

    bus = events_backends[ACCOUNT][REGION].event_buses.get(arn.rpartition("/")[2])
    return bus.policy if bus else None


_READERS = {
    "s3": _bucket_policy,
    "sqs": _queue_policy,
    "sns": _topic_policy,
    "kms": _key_policy,
    "events": _bus_policy,
}
