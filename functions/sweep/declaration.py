"""How the function `sweep` is deployed."""

from collections.abc import Iterator

from millrace.consumers.catalogue import of_stage, queue_of
from millrace.messages.events import AlarmUnanswered, EndpointOrphaned, RunUnheard
from millrace.names import MACHINES
from millrace.settings.declaration import Declared, Deployment, Grant
from millrace.settings.release import ReleaseSettings


def rights(given: Deployment) -> Iterator[Grant]:
    yield Grant("state_table.own_items", may="Query GetItem PutItem UpdateItem DeleteItem")
    named = "An execution names itself or is named by a digest"
    yield Grant("step_functions.executions", *MACHINES, because=named, may="DescribeExecution")
    yield Grant("step_functions.machines", *MACHINES, may="ListExecutions")
    yield Grant("step_functions.machines", "release", may="StartExecution")
    yield Grant("functions.invoke", given.names.function_arn("cleanup"))
    yield Grant("sagemaker_endpoints.both", may="DescribeEndpoint DeleteEndpoint")
    yield Grant("sagemaker_endpoints.configs", may="DescribeEndpointConfig")
    yield Grant("sagemaker_endpoints.find_scaling")
    yield Grant("registry.find_versions")
    yield Grant("registry.versions", may="DescribeModelPackage")
    if given.approval == "person":
        yield Grant("registry.refuse")
    yield Grant("bus.put_events", EndpointOrphaned, AlarmUnanswered, RunUnheard)
    yield Grant("alarms.describe", because="DescribeAlarms takes no resource")
    yield Grant("alarms.of_releases", may="DeleteAlarms")
    yield Grant("state_table.read_audit")
    yield Grant("buckets.find_audit_chain")
    if given.workload.policy:
        # Answers whose label nobody has dropped, and decisions that nobody has answered in time.
        more = " BatchGetItem" if given.workload.policy.review.twice else ""
        yield Grant("state_table.reviews", may="Query GetItem PutItem UpdateItem DeleteItem" + more)
        yield Grant("buckets.LANDING.write", "labels/review")
        yield Grant("state_table.append_audit")
        for one in of_stage(given.workload.consumers, given.names.platform.stage, "unanswered"):
            yield Grant("queues.send", given.names.queue_arn(queue_of(one)))


DECLARED = Declared(
    room="training",
    role="training",
    settings=ReleaseSettings,
    keeps_events=True,
    timeout_s=120,
    schedule="rate(1 hour)",
    rights=rights,
)
