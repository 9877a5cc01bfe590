"""How the function `publish_metrics` is deployed."""

from collections.abc import Iterator

from millrace.monitoring.alarms import starters
from millrace.settings.declaration import Declared, Deployment, Grant


def rights(given: Deployment) -> Iterator[Grant]:
    policy = given.workload.policy
    yield Grant("state_table.own_items", may="PutItem Query GetItem")
    yield Grant("buckets.LAKE.read", "monitor")
    yield Grant("alarms.named", *starters(given.workload.retraining), may="DescribeAlarms")
    if policy and (policy.floor is not None or policy.promised_error is not None):
        # Late labels move the confidence from which answers act, or who answers, which is recorded.
        yield Grant("state_table.append_audit")
    if policy and (policy.label_errors_a_day or policy.labels_a_day is not None):
        # Nobody is asked again about a label that a person gave.
        yield Grant(
            "state_table.reviews", may="GetItem PutItem" + (" BatchGetItem" if policy.label_errors_a_day else "")
        )


DECLARED = Declared(
    room="monitoring",
    role="monitoring",
    rights=rights,
)
