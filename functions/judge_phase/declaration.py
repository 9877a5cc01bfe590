"""How the function `judge_phase` is deployed."""

from collections.abc import Iterator

from millrace.contract.load import load_contract
from millrace.decisions import captured
from millrace.messages.climb import FOLDER
from millrace.settings.declaration import Declared, Deployment, Grant, asks_challenger


def rights(given: Deployment) -> Iterator[Grant]:
    kept = captured.kept_folders(load_contract(given.folder).table("scoring"))
    yield Grant("state_table.own_items", may="GetItem PutItem DeleteItem")
    yield Grant("state_table.append_audit")
    yield Grant("registry.versions", may="DescribeModelPackage UpdateModelPackage")
    yield asks_challenger(given)
    yield Grant("iceberg.tables", *given.workload.prediction.label_tables, may="GetTable")
    yield Grant("buckets.LAKE.find", "decisions", FOLDER)
    yield Grant("buckets.LAKE.read", "decisions", "predictions", "iceberg", FOLDER, *kept)
    yield Grant("buckets.LAKE.write", FOLDER)
    if given.workload.policy:
        # People are asked; in `assisted` items also get another answer, and are read.
        more = " UpdateItem DeleteItem BatchGetItem" if "assisted" in given.workload.rollout.phases else ""
        yield Grant("state_table.reviews", may="GetItem PutItem" + more)


DECLARED = Declared(
    room="release",
    role="release",
    timeout_s=600,
    memory_mb=2048,
    rights=rights,
)
