"""A drop belongs to one execution, which whoever finds the claim can start."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from millrace.errors import ConflictError
from millrace.state.claims import Claims, Start
from millrace.state.table import StateTable
from tests.functions.cold_start import NAMES

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def start(name: str) -> Start:
    return Start(machine="ingest", pool="ingest-training", name=name, input=f'{{"cause": "{name}"}}')


def test_a_group_has_all_of_its_drops_or_none(table):
    claims = Claims(table)
    assert claims.find("a") is None
    assert claims.take(start("one"), ["a", "b"], now=NOW)
    assert not claims.take(start("two"), ["b", "c"], now=NOW)
    assert [claims.find(each) for each in ("a", "b", "c")] == [start("one"), start("one"), None]
    assert not claims.take(start("one"), ["a", "b"], now=NOW), "not even its own"
    assert claims.take(start("three"), ["c"], now=NOW)


def test_of_groups_that_are_claimed_at_once_one_has_the_drop(table):
    def take(name: str) -> bool:
        try:
            return Claims(table).take(start(name), ["a", name], now=NOW)
        except ConflictError:
            return False

    with ThreadPoolExecutor(4) as pool:
        won = [name for name, is_won in zip("wxyz", pool.map(take, "wxyz"), strict=True) if is_won]
    assert [Claims(table).find("a")] == [start(name) for name in won]


class Canceled(Exception):  # noqa: N818 - DynamoDB's word is an exception, too
    """As boto3 raises it; moto has no conflicts."""

    def __init__(self, *reasons: str) -> None:
        self.response = {"CancellationReasons": [{"Code": reason} for reason in reasons]}


@pytest.mark.parametrize(
    ("reasons", "error"),
    [
        (("None", "TransactionConflict"), ConflictError),
        (("ConditionalCheckFailed", "TransactionConflict"), ConflictError),
        (("ThrottlingError", "None"), Canceled),
    ],
)
def test_a_transaction_that_was_not_decided_is_no_answer(reasons, error):
    def refuse(**_: object) -> None:
        raise Canceled(*reasons)

    client = SimpleNamespace(
        transact_write_items=refuse, exceptions=SimpleNamespace(TransactionCanceledException=Canceled)
    )
    with pytest.raises(error):
        Claims(StateTable(client, NAMES)).take(start("one"), ["a"], now=NOW)
