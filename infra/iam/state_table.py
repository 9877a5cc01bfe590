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


def _own(names: WorkloadNames, table: str) -> Resource:
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [names.workload]}}
    return resource("dynamodb", names.platform.table_arn(table), where=own)
