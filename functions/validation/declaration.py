"""How the function `validation` is deployed."""

from collections.abc import Iterator

from millrace.consumers.catalogue import hearing, queue_of
from millrace.contract.load import load_contract
from millrace.datasets.quarantine import REFUSED
from millrace.decisions import captured
from millrace.names import TABLES
from millrace.settings.declaration import TABLE_MEMORY_MB, Declared, Deployment, Grant
from millrace.settings.drop import ValidationSettings


def rights(given: Deployment) -> Iterator[Grant]:
    yield Grant("buckets.LAKE.read", "staging", "iceberg", "decisions", "predictions")
    yield Grant("buckets.LAKE.find", "decisions")
    yield Grant("buckets.LAKE.write", "staging", "iceberg", *REFUSED)
    yield Grant("iceberg.tables", *TABLES, may="GetTable CreateTable UpdateTable")
    yield Grant("iceberg.remove_manifests", *TABLES)
    yield Grant("state_table.own_items", may="GetItem UpdateItem PutItem Query")
    yield Grant("state_table.write_known_keys", given.workload.known_keys)
    if given.workload.policy and given.workload.policy.labels_before_model:
        # Rows wait for people; the image of one lies where decisions' images lie.
        yield Grant("state_table.reviews", may="GetItem BatchGetItem PutItem Query")
        if folders := captured.kept_folders(load_contract(given.folder).table("scoring")):
            yield Grant("buckets.LAKE.write", *folders)
    if consumers := hearing(given.workload.consumers, given.names.platform.stage, given.workload.policy):
        # What people have decided is passed on once its labels are committed.
        yield Grant("state_table.reviews", may="GetItem BatchGetItem")
        for one in consumers:
            yield Grant("queues.send", given.names.queue_arn(queue_of(one)))


DECLARED = Declared(
    room="ingestion",
    settings=ValidationSettings,
    timeout_s=900,
    memory_mb=TABLE_MEMORY_MB,
    rights=rights,
)
