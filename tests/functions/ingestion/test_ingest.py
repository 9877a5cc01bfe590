"""Drops through ingestion and validation: rows in = accepted + quarantined, whatever comes."""

from __future__ import annotations

import gzip
import io
import json
import random
from dataclasses import replace
from datetime import datetime
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest

from localcloud.kernel.cloud import Cloud
from millrace.datasets import changes
from millrace.datasets.journal import Journal
from millrace.datasets.tables import Lake
from millrace.names import WorkloadNames
from millrace.state.held_drops import HeldDrop
from millrace.state.table import StateTable
from millrace.workload.load import load_workload
from tests.builders import parquet
from tests.millrace.datasets.conftest import WORKLOAD
from tests.millrace.datasets.test_decision_rows import decision, keep


def csv(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pa.csv.write_csv(table, sink)
    return sink.getvalue()


def month(sample: pa.Table, year: int, number: int) -> pa.Table:
    at = sample["timestamp"]
    return sample.filter(pc.and_(pc.equal(pc.year(at), year), pc.equal(pc.month(at), number)))


@pytest.mark.parametrize("write", [parquet, csv])
def test_a_good_month_is_committed_whole(write: Any, ingest: Any, lake: Lake, sample: pa.Table) -> None:
    may = month(sample, 1996, 5)
    answer = ingest.run("training", "1996-05", write(may))
    assert answer["rows_accepted"] == answer["rows_total"] == may.num_rows == 25 * 48
    assert (answer["rows_quarantined"], answer["duplicate"], answer["has_champion"]) == (0, False, False)
    assert answer["first_rows"] == load_workload(WORKLOAD).training.first_rows
    iceberg = lake.find("rows")
    rows = iceberg.scan().to_arrow()
    assert rows.drop_columns(["_source", "_arrived"]).cast(may.schema).equals(may)
    assert answer["snapshot_id"] == str(iceberg.current_snapshot().snapshot_id)  # type: ignore[union-attr]
    assert iceberg.current_snapshot().summary["millrace.source-digest"] == answer["source_digest"]  # type: ignore[union-attr,index]


def test_the_files_of_a_list_are_one_drop(ingest: Any, lake: Lake, sample: pa.Table) -> None:
    """With lines counted through all of them; and in any order they are the same bytes."""
    may = month(sample, 1996, 5)
    wrong = may.set_column(8, "class", pa.array([7] + [1] * (len(may) - 1), may.schema.field("class").type))
    parts = [may.slice(0, 500), may.slice(500, 400), wrong.slice(0, 1), may.slice(900)]
    bucket, listed = ingest.names.platform.bucket("landing"), []
    for number, part in enumerate(parts):
        for folder in "ab":
            key = f"{ingest.names.workload}/training/market/{folder}.files/{number}"
            ingest.s3.put_object(Bucket=bucket, Key=key, Body=parquet(part))
        listed.append({"Key": f"elsewhere/{number}", "Size": 2000})
    answer = ingest.run("training", "market/a.files.json", json.dumps({"Contents": listed}).encode())
    assert (answer["rows_accepted"], answer["rows_quarantined"]) == (len(may), 1)
    (row,) = ingest.quarantined()
    assert (row["line"], row["reason"]) == (901, "allowed")
    rows = lake.find("rows")
    assert rows is not None
    assert len(list(Journal.of(rows))) == 1
    again = ingest.run("training", "market/b.files.json", json.dumps({"Contents": listed[::-1]}).encode())
    assert (again["duplicate"], again["rows_total"]) == (True, len(may))


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"Contents": [{"Key": "gone", "Size": 1}]}'])
def test_what_is_no_list_of_files_is_refused_whole(body: bytes, ingest: Any) -> None:
    answer = ingest.run("training", "market/a.files.json", body)
    assert (answer["outcome"], answer["reason"]) == ("rejected", "missing" if b"gone" in body else "foreign")


@pytest.mark.parametrize(
    "named",
    [
        {"key": ""},
        {"key": "\ud800"},
        {"version_id": "\ud800"},
        {"bucket": "\ud800"},
        {"bucket": "a b"},
        {"bucket": "nobody-has-this-bucket"},
    ],
    ids=ascii,
)
def test_a_name_that_no_object_can_have_is_missing(named: dict[str, str], ingest: Any, sample: pa.Table) -> None:
    payload = ingest.drop("training", "a.parquet", parquet(sample.slice(0, 20)))
    payload["state"]["detail"]["objects"][0] |= named
    answer = ingest.step("ingestion", payload)
    assert (answer["outcome"], answer["reason"]) == ("rejected", "missing")
    (row,) = ingest.quarantined()
    assert row["source"] == answer["source"]


def test_the_second_4_may_1997_in_the_labels_is_quarantined(
    ingest: Any, sample: pa.Table, cloud: Cloud, names: WorkloadNames
) -> None:
    """The labels come before anybody has asked: they wait for the decisions until a person accepts them."""
    drop = csv(month(sample, 1997, 5).select(["timestamp", "class"]))
    sent = "account 123456789012 from 10.0.0.7"
    state = StateTable(cloud.client("dynamodb"), names)
    for told in ("held", "again"):  # a monitor run has it looked at again
        answer = ingest.run("labels", "1997-05.csv", drop, requester=sent)
        assert (answer["rows_accepted"], answer["held"], answer["sent_by"]) == (0, told, sent)
    (batch,) = HeldDrop.every(state).values()
    assert (batch.is_early, batch.rows) == (True, 31 * 48)
    batch.decide(state, "accepted", by="ann", reason="of a row of another system")
    answer = ingest.run("labels", "1997-05.csv", drop, requester=sent)
    assert answer["unanswered"] == 31 * 48
    assert (answer["rows_accepted"], answer["rows_quarantined"]) == (31 * 48, 48)
    rows = ingest.quarantined()
    assert {row["reason"] for row in rows} == {"duplicate_key"}
    first = min(rows, key=lambda row: row["line"])
    assert first["line"] == 3 * 48 + 48 + 2, "the later copy, behind the header"
    assert first["detail"] == ("timestamp: expected a new key, got 1997-05-04 00:00:00, first on line 146")
    assert first["key"].startswith("electricity/quarantine/feed=labels/date=1997-06-01/")
    assert first["quarantined_at"] == datetime(1997, 6, 1, 6, 0)  # noqa: DTZ001
    assert first["source"].startswith("s3://")


@pytest.mark.parametrize(("is_turned", "held"), [(False, ""), (True, "held")])
def test_labels_that_came_early_are_judged_when_their_decisions_have_come(
    is_turned: bool, held: str, ingest: Any, sample: pa.Table, cloud: Cloud, names: WorkloadNames, lake: Lake
) -> None:
    known = month(sample, 1996, 6)
    said = [replace(decision(row), output={"value": row["class"], "confidence": 0.95}) for row in known.to_pylist()]
    label = pc.subtract(1, known["class"]) if is_turned else known["class"]
    drop = csv(pa.table({"timestamp": known["timestamp"], "class": label}))
    assert ingest.run("labels", "1996-06.csv", drop)["held"] == "held"
    keep(cloud, lake, said)
    answer = ingest.run("labels", "1996-06.csv", drop)
    assert (answer["held"], answer["rows_accepted"]) == (held, 0 if is_turned else known.num_rows)
    (batch,) = HeldDrop.every(StateTable(cloud.client("dynamodb"), names)).values()
    assert (batch.status, batch.is_early) == (("waiting", False) if is_turned else ("judged", True))


@pytest.mark.parametrize(("erring", "held"), [(5, ""), (15, "held")])
def test_a_month_in_which_the_model_erred_for_some_days_is_looked_at_whole(
    erring: int, held: str, ingest: Any, sample: pa.Table, cloud: Cloud, lake: Lake
) -> None:
    """The days that are looked at first are the worst ones; of all days they are few, or half."""
    rows = month(sample, 1996, 6)
    days = [at.toordinal() - datetime(1970, 1, 1).toordinal() for at in rows["timestamp"].to_pylist()]  # noqa: DTZ001
    wrong = random.Random("june").sample(sorted({*days}), erring)
    said = [
        replace(decision(row), output={"value": row["class"] ^ (day in wrong), "confidence": 0.95})
        for row, day in zip(rows.to_pylist(), days, strict=True)
    ]
    keep(cloud, lake, said)
    assert ingest.run("labels", "june.csv", csv(rows.select(["timestamp", "class"])), drop_id="june")["held"] == held


def test_labels_that_are_refused_hide_no_others(
    ingest: Any, sample: pa.Table, cloud: Cloud, names: WorkloadNames, lake: Lake
) -> None:
    """May's labels are known; June is turned behind them, or behind one label many times, and July comes early."""
    asked = [*month(sample, 1996, 5).to_pylist(), *month(sample, 1996, 6).to_pylist()]
    keep(cloud, lake, [replace(decision(row), output={"value": row["class"], "confidence": 0.95}) for row in asked])
    may, june, july = (month(sample, 1996, number).select(["timestamp", "class"]) for number in (5, 6, 7))
    assert ingest.run("labels", "may.csv", csv(may))["rows_accepted"] == may.num_rows
    turned = june.set_column(1, "class", pc.cast(pc.subtract(1, june["class"]), june["class"].type)).slice(0, 160)
    again = pa.concat_tables([june.slice(1000, 1)] * 1200)
    sent = {"known": (may, turned), "again": (again, turned), "early": (may, july.slice(0, 120))}
    said = {name: ingest.run("labels", name, csv(pa.concat_tables(parts))) for name, parts in sent.items()}
    assert {name: answer["held_for"].partition(" labels")[0] for name, answer in said.items()} == {
        "known": "160 of 160",
        "again": "160 of 161",
        "early": "about 120 of 120",
    }
    parts = {"right": june.slice(200), "turned": pa.concat_tables([june.slice(200), turned])}
    done = ingest.together("labels", {name: csv(part) for name, part in parts.items()})
    ingest.call("ingestion", done)
    assert [one["rows_accepted"] for one in ingest.call("validation", done)["drops"]] == [june.num_rows - 200, 0]


def test_every_bad_row_is_quarantined_with_its_line_and_reason(ingest: Any, sample: pa.Table) -> None:
    lines = csv(month(sample, 1996, 5).slice(0, 6)).splitlines(keepends=True)
    lines[2] = b"1996-05-07 00:30:00,1,half,0.1,0.1,0.1,0.1,0.1,1\n"
    lines[3] = b"1996-05-07 01:00:00,9,0.5,nan,0.1,0.1,0.1,1.5,1\n"
    lines[4] = b"1996-05-07 01:30:00,1\n"
    lines[5] = b"1990-05-07 01:30:00,1,0.5,0.1,0.1,0.1,0.1,0.5,\n"
    answer = ingest.run("training", "bad.csv", b"".join(lines))
    assert (answer["rows_accepted"], answer["rows_quarantined"]) == (2, 4)
    assert answer["reasons"] == {"type": 1, "columns": 1, "allowed": 1, "range": 1}, "of both steps"
    found = {row["line"]: row["reason"] for row in ingest.quarantined()}
    assert found == {3: "type", 4: "allowed", 5: "columns", 6: "range"}
    (third,) = [row for row in ingest.quarantined() if row["line"] == 4]
    assert third["detail"] == (
        "day_of_week: expected one of 0, 1, 2, 3, 4, 5, 6, got 9; "
        "nswprice: expected a finite number, got nan; transfer: expected <= 1, got 1.5"
    )


def test_the_bad_rows_of_the_same_bytes_are_quarantined_once(ingest: Any, sample: pa.Table) -> None:
    body = csv(sample.slice(0, 5)) + b"1996-05-07 09:30:00,1\n1990-05-07 01:30:00,1,0.5,0.1,0.1,0.1,0.1,0.5,\n"
    first = ingest.run("training", "a.csv", body)
    again = ingest.run("training", "b.csv", body)
    assert (first["rows_quarantined"], again["rows_quarantined"], again["duplicate"]) == (2, 0, True)
    assert again["refused_before"] == 2, "by ingestion and by validation"
    assert [row["source"] for row in ingest.quarantined()] == [first["source"]] * 2


@pytest.mark.parametrize("order", ["as they were written", "the later one first"])
def test_of_two_versions_of_an_object_the_later_wins(order: str, ingest: Any, sample: pa.Table) -> None:
    given = {"00A": sample.slice(0, 96).set_column(3, "nswprice", pa.array([0.25] * 96)), "00B0": sample.slice(0, 96)}
    answers = {}
    for sequencer in sorted(given, reverse=order == "the later one first"):
        payload = ingest.drop("training", "a.parquet", parquet(given[sequencer]))
        payload["run"] = sequencer
        payload["state"]["detail"]["objects"][0] |= {"sequencer": sequencer, "version_id": ""}
        ingest.step("ingestion", payload)
        answers[sequencer] = ingest.step("validation", payload)
    assert (answers["00B0"]["rows_accepted"], answers["00B0"]["rows_total"]) == (96, 96)
    assert bool(answers["00A"]["superseded_by"]) == (order == "the later one first")
    assert answers["00B0"]["rows_replaced"] == (0 if order == "the later one first" else 96)
    assert ingest.quarantined() == []


def test_rows_that_another_run_commits_first_are_quarantined(
    ingest: Any, sample: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another drop with half of the keys wins while this one commits: the loser compares the keys again."""
    payload = ingest.drop("training", "late.parquet", parquet(sample.slice(0, 48)))
    ingest.step("ingestion", payload)
    commit, others = changes.Attempt.commit, [sample.slice(24, 48)]

    def late(attempt: Any) -> bool:
        if others:
            assert ingest.run("training", "first.parquet", parquet(others.pop()))["rows_accepted"] == 48
        return commit(attempt)

    monkeypatch.setattr(changes.Attempt, "commit", late)
    answer = ingest.step("validation", payload)
    assert (answer["rows_accepted"], answer["rows_quarantined"], answer["rows_total"]) == (24, 24, 72)
    assert ingest.step("validation", payload) == answer
    rows = ingest.quarantined()
    assert [row["line"] for row in rows] == list(range(25, 49))
    assert {row["reason"] for row in rows} == {"duplicate_key"}


def test_a_drop_above_the_limit_is_refused_before_it_is_read(ingest: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_DROP_MB", "1")
    answer = ingest.run("training", "large.csv", bytes(2**20 + 1))
    assert (answer["reason"], answer["source_digest"]) == ("too_large", "")
    answer = ingest.run("training", "bomb.csv.gz", gzip.compress(bytes(2**20 + 1)))
    assert (answer["reason"], len(answer["source_digest"])) == ("too_large", 64)


def test_what_cannot_become_rows_is_quarantined_whole(ingest: Any, sample: pa.Table) -> None:
    answer = ingest.run("training", "x.parquet", parquet(sample.slice(0, 48))[:900])
    assert (answer["outcome"], answer["reason"]) == ("rejected", "truncated")
    assert answer["expected"]
    assert answer["got"]
    (row,) = ingest.quarantined()
    assert (row["line"], row["reason"], row["column_name"]) == (None, "truncated", None)


def test_a_long_reason_is_cut_in_the_answer(ingest: Any) -> None:
    """A state machine takes 256 KiB; the quarantine has all of it."""
    boto3.client("events").create_event_bus(Name=ingest.names.platform.bus)
    answer = ingest.run("training", "x.csv", b",".join([b"timestamp", *[b"%06d" % n for n in range(50_000)]]) + b"\n1")
    assert (answer["reason"], len(answer["got"])) == ("columns", 500)
    assert len(ingest.quarantined()[0]["got"]) > 300_000


def test_drops_together_are_one_commit_with_an_answer_each(ingest: Any, lake: Lake, sample: pa.Table) -> None:
    """Good, unreadable, with bad rows, the same bytes again: each is told apart, and the good ones go on."""
    bad = csv(sample.slice(0, 5)).splitlines(keepends=True)
    bodies = {
        "a.parquet": parquet(sample.slice(48, 48)),
        "b.csv": b"<html>not found</html>",
        "c.csv": b"".join(bad) + b"1996-05-07 09:30:00,1\n",
        "d.parquet": parquet(sample.slice(48, 48)),
    }
    payload = ingest.together("training", bodies)
    ingested, done = (ingest.call(function, payload) for function in ("ingestion", "validation"))
    assert ingested["outcome"] == "parsed"
    assert [(one["drop_id"], one["reason"]) for one in ingested["rejected"]] == [("id-b.csv", "foreign")]
    found = {one["drop_id"]: one for one in done["drops"]}
    assert {name: (one["rows_accepted"], one["rows_quarantined"]) for name, one in found.items()} == {
        "id-a.parquet": (48, 0),
        "id-c.csv": (5, 1),
        "id-d.parquet": (0, 0),
    }
    assert found["id-d.parquet"]["duplicate_of"] == found["id-a.parquet"]["source"]
    again = [ingest.call(function, payload) for function in ("ingestion", "validation")]
    assert again == [ingested, done], "a worker that died behind its effect: the machine calls again"
    rows = {row["key"].rpartition("/")[2]: row["source"].partition("?")[0] for row in ingest.quarantined()}
    landing = f"s3://{ingest.names.platform.bucket('landing')}/electricity/training"
    assert rows == {"id-b.csv-drop.parquet": f"{landing}/b.csv", "id-c.csv-unparsable.parquet": f"{landing}/c.csv"}
    iceberg = lake.find("rows")
    assert set(iceberg.scan().to_arrow()["_source"].to_pylist()) == {
        "electricity/training/a.parquet",
        "electricity/training/c.csv",
    }


def published(text: str) -> dict[str, float]:
    """The metrics in the log, by name, with a reason behind it: `RefusedRows range`."""
    lines = [json.loads(line) for line in text.splitlines() if '"_aws"' in line]
    return {
        " ".join([metric["Name"], *filter(None, [line.get("Reason")])]): line[metric["Name"]][0]
        for line in lines
        for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    }


def test_a_drop_without_a_good_row_is_a_metric_of_its_own(
    ingest: Any, sample: pa.Table, capsys: pytest.CaptureFixture[str]
) -> None:
    """A class that became a text costs every row. A good drop publishes nothing."""
    ingest.run("training", "good.parquet", parquet(sample.slice(0, 480)))
    assert published(capsys.readouterr().out) == {}
    bad = [f'{{"timestamp": "1996-05-{day:02}T00:00:00", "class": "up"}}' for day in range(1, 31)]
    answer = ingest.run("labels", "bad.jsonl", "\n".join(bad).encode())
    assert (answer["rows_accepted"], answer["rows_quarantined"]) == (0, 30)
    found = published(capsys.readouterr().out)
    assert (found["RefusedDrops"], found["RefusedRows"], found["RefusedRows type"]) == (1, 30, 30)
    assert found["RefusedShare"] == pytest.approx(1 / 0.05)
