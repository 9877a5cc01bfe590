"""How the function `judge_phase` is deployed."""

from collections.abc import Iterator

from millrace.contract.load import load_contract
from millrace.decisions import captured
from millrace.messages.climb import FOLDER
from millrace.settings.declaration import Declared, Deployment, Right


def rights(given: Deployment) -> Iterator[Right]:
    kept = captured.kept_folders(load_contract(given.folder).table("scoring"))
    yield Right("state_table.own_items", may="GetItem PutItem DeleteItem")
    yield Right("state_table.append_audit")
    yield Right("registry.versions", may="DescribeModelPackage UpdateModelPackage")
    yield Right("sagemaker_endpoints.challenger", may="InvokeEndpoint")
    yield Right("iceberg.tables", *given.workload.prediction.label_tables, may="GetTable")
    yield Right("buckets.LAKE.find", "decisions", FOLDER)
    yield Right("buckets.LAKE.read", "decisions", "predictions", "iceberg", FOLDER, *kept)
    yield Right("buckets.LAKE.write", FOLDER)
    if given.workload.policy:
        # People are asked; in `assisted` items also get another answer, and are read.
        more = " UpdateItem DeleteItem BatchGetItem" if "assisted" in given.workload.rollout.phases else ""
        yield Right("state_table.reviews", may="GetItem PutItem" + more)


DECLARED = Declared(
    room="release",
    role="release",
    description="Judges a version in a phase of its release by what is known of it",
    timeout_s=600,
    memory_mb=2048,
    rights=rights,
)
