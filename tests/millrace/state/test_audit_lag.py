"""The audit's chain against the number of records: what waits is noticed, whatever keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from localcloud.kernel.patching import undone
from localcloud.s3.install import make_conditional_puts_atomic
from millrace.state.audit_chain import AuditChain, ChainChange, ChangeKind
from millrace.state.audit_lag import AuditLag
from millrace.state.table import StateTable
from millrace.timestamps import parse_utc
from tests.audit_bucket import create_bucket
from tests.functions.cold_start import NAMES, set_variables
from tests.state_table import create_table

START = parse_utc("1997-06-01T06:00:00Z")
BUCKET, TABLE = NAMES.platform.bucket("audit"), NAMES.platform.audit_table


class Audit:
    """The table, the chain and the look at both."""

    def __init__(self) -> None:
        self.dynamodb, self.records = boto3.client("dynamodb"), 0
        for table in (TABLE, NAMES.platform.state_table):
            create_table(self.dynamodb, table)
        s3 = boto3.client("s3")
        create_bucket(s3, BUCKET)
        self.chain = AuditChain(s3, bucket=BUCKET, workload=NAMES.workload)
        state = StateTable(self.dynamodb, NAMES)
        self.lag = AuditLag(dynamodb=self.dynamodb, names=NAMES, chain=self.chain, state=state)

    def add(self, *, is_chained: bool) -> None:
        self.records += 1
        item = {"pk": {"S": NAMES.workload}, "sk": {"S": f"{self.records:04d}"}}
        self.dynamodb.put_item(TableName=TABLE, Item=item)
        self.dynamodb.put_item(TableName=TABLE, Item=item | {"pk": {"S": "another"}})
        if is_chained:
            self.link(item)

    def link(self, item: Any) -> None:
        sequence = item["sk"]["S"]
        change = ChainChange(kind=ChangeKind.ADDED, record=item, at=datetime.now(UTC), sequence=sequence)
        assert self.chain.extend([change]) == 1

    def hours(self, hours: float) -> float:
        """The lag that is found then, in hours."""
        return self.lag.check(START + timedelta(hours=hours)) / timedelta(hours=1)


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch) -> Iterator[Audit]:
    set_variables(monkeypatch)
    with undone(), mock_aws():
        make_conditional_puts_atomic()
        yield Audit()


def test_a_chain_that_keeps_up_has_no_lag(audit: Audit) -> None:
    assert audit.hours(0) == 0
    for hour in range(1, 13):
        audit.add(is_chained=True)
        assert audit.hours(hour) == 0


def test_a_record_that_waits_is_noticed_until_it_is_there(audit: Audit) -> None:
    audit.add(is_chained=True)
    audit.add(is_chained=False)
    assert [audit.hours(hour) for hour in (0, 1, 2, 3, 4, 5)] == [0, 0, 0, 3, 4, 5]
    audit.link({"pk": {"S": NAMES.workload}, "sk": {"S": "0002"}})
    assert [audit.hours(hour) for hour in (6, 7, 9)] == [0, 0, 0]


def test_what_is_lost_is_noticed_for_a_day_and_hides_nothing_later(audit: Audit) -> None:
    """A record that the stream dropped; the next ones are in the chain, then one is not."""
    audit.add(is_chained=False)
    assert [audit.hours(hour) > 0 for hour in (0, 3, 24, 28, 29, 32)] == [False, True, True, True, False, False]
    audit.add(is_chained=True)
    assert [audit.hours(hour) for hour in (36, 40)] == [0, 0]
    audit.add(is_chained=False)
    assert [audit.hours(hour) for hour in (44, 48)] == [0, 4]
