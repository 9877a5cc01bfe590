"""Rights on the tables `state` and `audit`. All workloads share them, and each reaches the items below its own name."""

from __future__ import annotations

from millrace.infra.iam.resource import Resource, Statement, every, resource
from millrace.names import Platform, WorkloadNames
from millrace.state.known_keys import SPREAD as SPREAD_KEYS
from millrace.state.reviews import SPREAD as SPREAD_REVIEWS
from millrace.state.table import Spread
from millrace.workload.ends import KnownKeys


def own_items(names: WorkloadNames) -> Resource:
    """All items of the workload in the table `state`: see `millrace/state/table.py`."""
    return _own(names, names.platform.state_table)


def read_both(names: WorkloadNames) -> Statement:
    """Read the workload's items and its audit records."""
    return (own_items(names) + _own(names, names.platform.audit_table)).may("GetItem", "Query")


def reviews(names: WorkloadNames) -> Resource:
    """The workload's decisions that wait for a person: see `millrace/state/reviews.py`."""
    return _spread(names, SPREAD_REVIEWS)


def write_known_keys(names: WorkloadNames, known: KnownKeys | None) -> list[Statement]:
    """Write what is known of each key, where a workload declares that."""
    return [_known_keys(names).may("GetItem", "PutItem", "Query")] if known else []


def read_known_keys(names: WorkloadNames, known: KnownKeys | None) -> list[Statement]:
    """Read what is known of the keys of a request."""
    return [_known_keys(names).may("BatchGetItem")] if known else []


def append_audit(names: WorkloadNames) -> Statement:
    """Write a record of what was done, and by whom."""
    return _own(names, names.platform.audit_table).may("PutItem")


def read_audit(names: WorkloadNames) -> Statement:
    """Read the workload's audit records, or count them: no condition can separate the two."""
    return _own(names, names.platform.audit_table).may("Query")


def read_audit_stream(platform: Platform) -> list[Statement]:
    """The rights that Lambda's poller needs to feed a function from the audit table's stream."""
    # https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSLambdaDynamoDBExecutionRole.html
    stream = resource(
        "dynamodb",
        f"{platform.table_arn(platform.audit_table)}/stream/*",
        because="A stream is named by the time at which it was switched on",
    )
    streams = every("dynamodb", because="The list of the streams takes no resource; Lambda's poller asks for it")
    return [stream.may("DescribeStream", "GetRecords", "GetShardIterator"), streams.may("ListStreams")]


def _known_keys(names: WorkloadNames) -> Resource:
    """See `millrace/state/known_keys.py`."""
    return _spread(names, SPREAD_KEYS)


def _own(names: WorkloadNames, table: str) -> Resource:
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [names.workload]}}
    return resource("dynamodb", names.platform.table_arn(table), where=own)


def _spread(names: WorkloadNames, spread: Spread) -> Resource:
    # The `#` ends the workload's name: `air` has nothing of `air_quality`.
    own = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [f"{spread.kind}#{names.workload}#*"]}}
    return resource("dynamodb", names.platform.table_arn(names.platform.state_table), where=own)
