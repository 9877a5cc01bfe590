"""How the function `start_release` is deployed."""

from collections.abc import Iterator

from millrace.messages.events import EndpointWanted
from millrace.settings.declaration import Declared, Deployment, Grant
from millrace.settings.release import ReleaseSettings


def rights(given: Deployment) -> Iterator[Grant]:
    yield Grant("state_table.own_items", may="Query GetItem PutItem DeleteItem")
    yield Grant("state_table.append_audit")
    # Update: a version whose approval does not count waits again.
    yield Grant("registry.versions", may="DescribeModelPackage UpdateModelPackage")
    yield Grant("buckets.ARTEFACTS.read", "runs")
    yield Grant("buckets.ARTEFACTS.find", "runs")
    yield Grant("key.verify")
    yield Grant("sagemaker_endpoints.both", may="DescribeEndpoint DeleteEndpoint")
    yield Grant("sagemaker_endpoints.configs", may="DescribeEndpointConfig")
    if given.workload.rollout.idle:
        yield Grant("bus.put_events", EndpointWanted)
        yield Grant("state_table.own_items", may="UpdateItem")


DECLARED = Declared(
    room="release",
    role="release",
    settings=ReleaseSettings,
    rights=rights,
)
