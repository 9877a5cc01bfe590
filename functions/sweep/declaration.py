"""How the function `sweep` is deployed."""

from collections.abc import Iterator

from millrace.messages.events import AlarmUnanswered, EndpointOrphaned, EndpointWanted, RunUnheard
from millrace.names import MACHINES
from millrace.settings.declaration import Declared, Deployment, Right
from millrace.settings.release import ReleaseSettings


def rights(given: Deployment) -> Iterator[Right]:
    idle = given.workload.rollout.idle
    yield Right("state_table.own_items", may="Query GetItem PutItem UpdateItem DeleteItem")
    named = "An execution names itself or is named by a digest"
    yield Right("step_functions.executions", *MACHINES, because=named, may="DescribeExecution")
    yield Right("step_functions.machines", *MACHINES, may="ListExecutions")
    yield Right("step_functions.machines", "release", may="StartExecution")
    yield Right("functions.invoke", given.names.function_arn("cleanup"))
    yield Right("sagemaker_endpoints.both", may="DescribeEndpoint DeleteEndpoint")
    yield Right("sagemaker_endpoints.configs", may="DescribeEndpointConfig")
    yield Right("sagemaker_endpoints.find_scaling")
    yield Right("registry.find_versions")
    yield Right("registry.versions", may="DescribeModelPackage")
    if given.approval == "person":
        yield Right("registry.refuse")
    wanted = [EndpointWanted] if idle else []
    yield Right("bus.put_events", EndpointOrphaned, AlarmUnanswered, RunUnheard, *wanted)
    yield Right("alarms.describe", because="DescribeAlarms takes no resource")
    yield Right("alarms.of_releases", may="DeleteAlarms")
    yield Right("state_table.read_audit")
    yield Right("buckets.find_audit_chain")
    if given.workload.policy:
        # Answers whose label nobody has dropped, and decisions that nobody has answered in time.
        yield Right("state_table.reviews", may="Query GetItem UpdateItem DeleteItem")
        yield Right("buckets.LANDING.write", "labels/review")
    if given.workload.policy or idle:
        yield Right("state_table.append_audit")
    if idle:
        # An endpoint that nobody asks: its scaling goes with it, and the alarms of the scaling.
        yield Right("alarms.read_metrics")
        yield Right("sagemaker_endpoints.scalable_targets", may="DeregisterScalableTarget")
        yield Right("alarms.of_scaling", may="DeleteAlarms")


DECLARED = Declared(
    room="training",
    role="training",
    description="Each hour: free what no running execution holds",
    settings=ReleaseSettings,
    keeps_events=True,
    timeout_s=120,
    schedule="rate(1 hour)",
    rights=rights,
)
