"""How the function `plan_windows` is deployed."""

from collections.abc import Iterator

from millrace.settings.declaration import Declared, Deployment, Right


def rights(given: Deployment) -> Iterator[Right]:
    policy = given.workload.policy
    # Which labels people were asked for stands in the report of the run that chose them.
    asks = policy is not None and policy.labels_a_day is not None
    yield Right("state_table.own_items", may="GetItem Query")
    yield Right("step_functions.machines", "ingest", may="StartExecution")
    yield Right("iceberg.tables", *given.workload.prediction.label_tables, may="GetTable")
    yield Right("buckets.LAKE.find", "decisions")
    yield Right("buckets.read_absorbed")
    yield Right("buckets.LAKE.read", "iceberg", *(["monitor"] if asks else []))
    if policy is not None and policy.label_errors_a_day is not None:
        # The time of its registration says which labels the champion may have learnt.
        yield Right("registry.versions", may="DescribeModelPackage")
    yield Right("buckets.LAKE.write", "windows")


DECLARED = Declared(
    room="monitoring",
    role="monitoring",
    description="The complete windows since the cursors, and what the drift job needs to judge them",
    timeout_s=300,
    memory_mb=2048,
    rights=rights,
)
