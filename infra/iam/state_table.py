"""The tables `state` and `audit`: all workloads share them, each reaches the items under its own name."""

from __future__ import annotations

from infra.iam.resource import Resource, Statement, resource
from millrace.names import WorkloadNames


def own_items(names: WorkloadNames) -> Resource:
    """The workload's leases, slots, pointers, budget and cursors."""
    return _own(names, names.platform.state_table)


def append_audit(names: WorkloadNames) -> Statement:
    """Write a record of what was done, and by whom."""
    return _own(names, names.platform.audit_table).may("PutItem")


def read_changes(stream_arn: str) -> Statement:
    """What Lambda's poller needs to feed a function from a table's stream."""
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/iam-policy-example-lamda-process-dynamodb-streams.html
    return resource("dynamodb", stream_arn).may("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")


def _own(names: WorkloadNames, table: str) -> Resource:
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [names.workload]}}
    return resource("dynamodb", names.platform.table_arn(table), where=own)
