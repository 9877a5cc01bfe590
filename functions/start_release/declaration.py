"""How the function `start_release` is deployed."""

from collections.abc import Iterator

from millrace.messages.events import EndpointWanted
from millrace.settings.declaration import Declared, Deployment, Right
from millrace.settings.release import ReleaseSettings


def rights(given: Deployment) -> Iterator[Right]:
    yield Right("state_table.own_items", may="Query GetItem PutItem DeleteItem")
    yield Right("state_table.append_audit")
    # Update: a version whose approval does not count waits again.
    yield Right("registry.versions", may="DescribeModelPackage UpdateModelPackage")
    yield Right("buckets.ARTEFACTS.read", "runs")
    yield Right("buckets.ARTEFACTS.find", "runs")
    yield Right("key.verify")
    yield Right("sagemaker_endpoints.both", may="DescribeEndpoint DeleteEndpoint")
    yield Right("sagemaker_endpoints.configs", may="DescribeEndpointConfig")
    if given.workload.rollout.idle:
        yield Right("bus.put_events", EndpointWanted)
        yield Right("state_table.own_items", may="UpdateItem")


DECLARED = Declared(
    room="release",
    role="release",
    description="The release's lease, its package and signature, and what stands already",
    settings=ReleaseSettings,
    rights=rights,
)
