"""How far the audit's chain lags behind the audit table: item `audit-chain` (records, lost, as_of).

The function that writes the chain cannot report a lag itself: it is not even called if Lambda may not read the table's
stream. So the sweep counts the links of the chain, and compares with the number of records of some hours ago:

    06:00  17 records              17 are noted
    09:00  17 links, 18 records    17 links for 17 noted records: no lag. Now 18 are noted
    12:00  17 links                17 links for 18 noted records: a record has waited for at least three hours

A record that waits for longer than the stream keeps it never becomes a link. It is then counted as `lost`, so that the
lag ends and a later one is noticed again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from millrace.names import WorkloadNames
from millrace.state.audit import count
from millrace.state.audit_chain import AuditChain
from millrace.state.item import Item
from millrace.state.table import StateTable

EVERY = timedelta(hours=3)
"""The least time between two counts. Each count reads all of the workload's records in the audit table."""
KEPT = timedelta(hours=24)
"""How long a stream keeps a record: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html"""
NONE = timedelta()


@dataclass(frozen=True, kw_only=True)
class AuditNote(Item, key="audit-chain"):
    """The last count."""

    records: int
    lost: int
    as_of: datetime


@dataclass(frozen=True, kw_only=True)
class AuditLag:
    """Compares the chain of one workload with its records. `dynamodb` is boto3's client."""

    dynamodb: Any
    names: WorkloadNames
    chain: AuditChain
    state: StateTable

    def check(self, as_of: datetime) -> timedelta:
        """How long at least a record has been in the table without a link. Zero if no record lacks its link.

        Nothing is counted until the last note is EVERY old. A record that the stream no longer keeps is reported once
        more and then counts as lost; `millrace audit verify` names it."""
        noted = AuditNote.find(self.state)
        if noted is None:
            self._note(lost=0, as_of=as_of)
            return NONE
        age = as_of - noted.as_of
        # Too early: records of the last hours may be on their way to the chain, and a count reads many items.
        if age < EVERY:
            return NONE
        # As long as links are missing the note stays, so `age` grows and the lag with it.
        missing = noted.records - noted.lost - self.chain.length()
        if missing <= 0:
            self._note(lost=noted.lost, as_of=as_of)
            return NONE
        # The missing records were in the table by the time of the note, so the stream has dropped them by now.
        if age > KEPT + EVERY:
            self._note(lost=noted.lost + missing, as_of=as_of)
        return age

    def _note(self, *, lost: int, as_of: datetime) -> None:
        records = count(self.dynamodb, table=self.names.platform.audit_table, workload=self.names.workload)
        AuditNote(records=records, lost=lost, as_of=as_of).put(self.state)
