"""The table `state` on moto: pointers, leases, slots, retraining, cursor, spend; each guard seen refusing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import boto3
import pytest
from moto import mock_aws

from millrace.errors import ConflictError
from millrace.state.table import Pointers, State, Version
from millrace.timestamps import moment

NOW = moment("1997-06-01T06:00:00Z")
A, B = "arn:aws:states:eu-west-1:123456789012:execution:m:a", "arn:aws:states:eu-west-1:123456789012:execution:m:b"


def version(number: int) -> Version:
    return Version(
        package_arn=f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/g/{number}",
        version=str(number),
        model_name=f"m-{number}",
        run=f"run-{number}",
        baseline_uri=f"s3://artefacts/electricity/runs/run-{number}/baseline.json",
    )


@pytest.fixture
def state(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        client = boto3.client("dynamodb", region_name="eu-west-1")
        client.create_table(
            TableName="state",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        yield State(client, table="state", workload="electricity")


def test_nobody_is_live_at_first(state):
    assert state.pointers() == Pointers()
    assert state.champion() is None


def test_pointers_come_back_as_written(state):
    written = state.move(Pointers(champion=version(2), previous=version(1)))
    assert written.revision == 1
    assert state.pointers() == written


def test_a_write_on_an_old_revision_loses(state):
    state.move(Pointers(champion=version(1)))
    with pytest.raises(ConflictError, match="expected revision 0"):
        state.move(Pointers(champion=version(2)))
    assert state.champion() == version(1)


def test_of_two_promotions_at_once_one_wins(state):
    read = state.move(Pointers(champion=version(1)))

    def promote(number):
        try:
            state.move(replace(read, champion=version(number)))
        except ConflictError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(promote, range(2, 10))) == 1
    assert state.pointers().revision == 2


def test_a_lease_has_one_holder_until_it_expires(state):
    later = NOW + timedelta(hours=1)
    assert state.take_lease("retrain", holder=A, as_of=NOW, expires_at=later)
    assert state.take_lease("retrain", holder=A, as_of=NOW, expires_at=later)
    assert not state.take_lease("retrain", holder=B, as_of=NOW + timedelta(minutes=59), expires_at=later)
    assert state.lease("retrain").holder == A
    assert state.take_lease("retrain", holder=B, as_of=later, expires_at=later + timedelta(hours=1))


def test_slots_are_bounded_and_asking_twice_takes_one(state):
    assert state.take_slot("ingest", holder=A, limit=2)
    assert state.take_slot("ingest", holder=A, limit=2)
    assert state.take_slot("ingest", holder=B, limit=2)
    assert not state.take_slot("ingest", holder="c", limit=2)
    assert state.take_slot("ingest", holder=B, limit=2)


def test_free_gives_back_only_what_the_holder_has(state):
    state.take_lease("retrain", holder=A, as_of=NOW, expires_at=NOW + timedelta(hours=1))
    state.take_slot("ingest", holder=A, limit=2)
    state.take_slot("ingest", holder=B, limit=2)
    state.move(Pointers(champion=version(1)))
    assert sorted(state.free(A)) == ["lease#retrain", "slots#ingest"]
    assert state.lease("retrain") is None
    assert state.free(A) == []
    assert not state.take_slot("ingest", holder=A, limit=1)
    assert state.free(B) == ["slots#ingest"]
    assert state.take_slot("ingest", holder=A, limit=1)


def test_a_retraining_is_counted_once_and_by_month(state):
    assert state.retraining().started_at is None
    state.record_retraining(run=A, as_of=NOW, labels_total=1000)
    state.record_retraining(run=A, as_of=NOW, labels_total=1000)
    assert (state.retraining().runs_in("1997-06"), state.retraining().runs_in("1997-07")) == (1, 0)
    state.record_retraining(run=B, as_of=NOW, labels_total=2000)
    assert state.retraining().runs_in("1997-06") == 2
    assert (state.retraining().run, state.retraining().labels_total, state.retraining().started_at) == (B, 2000, NOW)


def test_the_cursor_never_goes_back(state):
    assert state.cursor("monitor") is None
    assert state.advance_cursor("monitor", window_end=NOW)
    assert not state.advance_cursor("monitor", window_end=NOW - timedelta(days=1))
    assert not state.advance_cursor("monitor", window_end=NOW)
    assert state.cursor("monitor") == NOW


def test_spend_is_reserved_once_per_run_and_never_over_the_budget(state):
    assert state.reserve_usd(0.231, run="a", as_of=NOW, monthly_usd=0.5)
    assert state.reserve_usd(0.231, run="a", as_of=NOW, monthly_usd=0.5)
    assert state.spent_usd(NOW) == Decimal("0.24")
    assert state.reserve_usd(0.26, run="b", as_of=NOW, monthly_usd=0.5)
    assert not state.reserve_usd(0.01, run="c", as_of=NOW, monthly_usd=0.5)
    assert state.spent_usd(NOW) == Decimal("0.50")
    assert state.reserve_usd(0.01, run="c", as_of=NOW + timedelta(days=30), monthly_usd=0.5)


def test_a_run_dearer_than_the_whole_month_is_refused(state):
    assert not state.reserve_usd(51, run="a", as_of=NOW, monthly_usd=50)
    assert state.spent_usd(NOW) == 0


def test_workloads_do_not_share_items(state):
    other = State(state._client, table="state", workload="income")
    state.move(Pointers(champion=version(1)))
    assert other.champion() is None


def test_months_tell_what_their_runs_reserved(state):
    for run, usd, as_of in (
        (A, 1.5, "1997-06-01T06:00:00Z"),
        (B, 2.0, "1997-06-30T23:00:00Z"),
        (A, 3.0, "1997-05-01T00:00:00Z"),
    ):
        assert state.reserve_usd(usd, run=run, as_of=moment(as_of), monthly_usd=50)
    assert {name: (float(spend.usd), spend.runs) for name, spend in state.spends().items()} == {
        "1997-05": (3.0, (A,)),
        "1997-06": (3.5, (A, B)),
    }
