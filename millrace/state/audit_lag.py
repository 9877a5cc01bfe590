"""By how much the audit's chain lags behind its table, whatever keeps a record from it: the item `audit-chain`
(records, lost, as_of).

The function of the chain is not even called where Lambda may not read the table's stream. So the links are counted
against the records that were in the table hours ago:

    06:00  17 records                  noted
    09:00  17 links, and 18 records    17 of 17: no lag; 18 are noted
    12:00  17 links                    17 of 18: a record has waited for three hours
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from millrace.names import WorkloadNames
from millrace.state.audit import count
from millrace.state.audit_chain import AuditChain
from millrace.state.table import StateTable
from millrace.timestamps import format_utc, parse_utc

ITEM = "audit-chain"
EVERY = timedelta(hours=3)
"""Between two counts: each reads the workload's whole part of the audit table."""
KEPT = timedelta(hours=24)
"""By a stream: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html"""
NONE = timedelta()


@dataclass(frozen=True, kw_only=True)
class AuditLag:
    """`dynamodb` is boto3's client."""

    dynamodb: Any
    names: WorkloadNames
    chain: AuditChain
    state: StateTable

    def check(self, as_of: datetime) -> timedelta:
        """For how long at least a record has been in the table without a link; zero where none has.

        Counts, and notes the count, where the last one is EVERY old. What the stream does not keep any more is lost and
        does not count again: `millrace audit verify` names it."""
        noted = self.state.get(ITEM)
        if not noted:
            self._note(lost=0, as_of=as_of)
            return NONE
        age = as_of - parse_utc(noted["as_of"]["S"])
        if age < EVERY:
            return NONE
        records, lost = int(noted["records"]["N"]), int(noted["lost"]["N"])
        missing = records - lost - self.chain.length()
        if missing <= 0:
            self._note(lost=lost, as_of=as_of)
            return NONE
        if age > KEPT + EVERY:
            self._note(lost=lost + missing, as_of=as_of)
        return age

    def _note(self, *, lost: int, as_of: datetime) -> None:
        records = count(self.dynamodb, table=self.names.platform.audit_table, workload=self.names.workload)
        item = {"records": {"N": str(records)}, "lost": {"N": str(lost)}, "as_of": {"S": format_utc(as_of)}}
        self.state.put(ITEM, item)
