"""How the function `plan_windows` is deployed."""

from collections.abc import Iterator

from millrace.settings.declaration import Declared, Deployment, Grant


def rights(given: Deployment) -> Iterator[Grant]:
    policy = given.workload.policy
    # Which labels people were asked for stands in the report of the run that chose them.
    asks = policy is not None and policy.labels_a_day is not None
    yield Grant("state_table.own_items", may="GetItem Query")
    yield Grant("step_functions.machines", "ingest", may="StartExecution")
    yield Grant("iceberg.tables", *given.workload.prediction.label_tables, may="GetTable")
    yield Grant("buckets.LAKE.find", "decisions", "predictions")
    yield Grant("buckets.read_absorbed")
    yield Grant("buckets.LAKE.read", "iceberg", *(["monitor"] if asks else []))
    if policy is not None and policy.label_errors_a_day is not None:
        # The time of its registration says which labels the champion may have learnt.
        yield Grant("registry.versions", may="DescribeModelPackage")
    yield Grant("buckets.LAKE.write", "windows")


DECLARED = Declared(
    room="monitoring",
    role="monitoring",
    timeout_s=300,
    memory_mb=2048,
    rights=rights,
)
