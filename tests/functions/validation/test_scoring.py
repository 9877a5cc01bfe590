"""A drop to score: each of its rows is in a shard for the model or in quarantine."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.artefact.batch import ROW
from millrace.console.demo.months import file_to_score, months
from millrace.contract.load import load_contract
from millrace.functions.validation.scoring import instances_for
from millrace.functions.validation.shards import Shards
from millrace.state.pointers import Pointers
from tests.builders import version
from tests.functions.conftest import Aws

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "workloads" / "electricity" / "sample" / "elec2.parquet"
TABLE_SCORING = load_contract(ROOT / "workloads" / "electricity").table("scoring")
LAKE, LANDING = (f"millrace-local-{purpose}-123456789012-eu-west-1" for purpose in ("lake", "landing"))
RUN = "5b5c7a4e1f"  # pragma: allowlist secret
STAGING = "electricity/staging/5b5c7a4e1f/"
QUARANTINE = "electricity/quarantine/feed=scoring/date=1997-01-01/5b5c7a4e1f-refused.parquet"
CHAMPION = version("3", model_name="millrace-local-electricity-3")
Score = Callable[..., dict[str, Any]]


@pytest.fixture
def score(aws: Aws, load: Any, monkeypatch: pytest.MonkeyPatch) -> Score:
    """The two handlers as the machine calls them; the answer of the last one that was called."""
    monkeypatch.setenv("MILLRACE_SHARD_BYTES", "8000")
    ingestion, validation = load("ingestion"), load("validation")

    def call(*objects: dict[str, str]) -> dict[str, Any]:
        event = json.loads((ROOT / "events" / "validation.json").read_text())
        event["state"]["detail"]["objects"] = objects
        del event["state"]["ingestion"]
        answer: dict[str, Any] = ingestion(event)
        if answer["outcome"] != "parsed":
            return answer
        event["state"]["ingestion"] = {"answer": answer}
        scored: dict[str, Any] = validation(event)
        return scored

    return call


@pytest.fixture
def champion(aws: Aws) -> None:
    aws.pointers.move(Pointers(champion=CHAMPION))


def land(body: bytes, name: str = "week.csv") -> dict[str, str]:
    """The object as a drop names it."""
    key = f"electricity/scoring/{name}"
    version: str = boto3.client("s3").put_object(Bucket=LANDING, Key=key, Body=body)["VersionId"]
    return {"bucket": LANDING, "key": key, "version_id": version}


def week() -> bytes:
    """The first row has a day of the week that the contract does not list."""
    header, first, others = file_to_score(months(SAMPLE, "1997-01", "1997-01")[0]).decode().split("\n", 2)
    cells = first.split(",")
    cells[header.split(",").index("day_of_week")] = "7"
    return "\n".join((header, ",".join(cells), others)).encode()


@pytest.mark.usefixtures("champion")
def test_every_row_is_in_a_shard_or_in_quarantine(score: Score, aws: Aws) -> None:
    drop = land(week())
    answer = score(drop)
    assert answer == {
        "drops": [
            {
                "drop_id": RUN,
                "as_of": "1997-01-01T08:00:12Z",
                "source": f"s3://{LANDING}/electricity/scoring/week.csv?versionId={drop['version_id']}",
                "source_digest": hashlib.sha256(week()).hexdigest(),
                "accepted": 335,
                "quarantined": 1,
                "reasons": {"range": 1},
                "unlisted": {"day_of_week": 1},
                "first_shard": 0,
                "shards": 4,
            }
        ],
        "accepted": 335,
        "shards_uri": f"s3://{LAKE}/{STAGING}shards/",
        "transformed_uri": f"s3://{LAKE}/{STAGING}transformed/",
        "model_name": "millrace-local-electricity-3",
        "model_version": "3",
        "instances": 1,
        "usd_per_hour": 0.14,
    }
    objects = aws.objects()
    shards = [objects[f"{STAGING}shards/{number:05d}.arrow"] for number in range(4)]
    assert all(len(body) <= 8_000 for body in shards)
    rows = pa.concat_tables([pa.ipc.open_stream(body).read_all() for body in shards])
    accepted = pq.read_table(io.BytesIO(objects[f"{STAGING}accepted.parquet"]))
    assert rows["row_number"].equals(accepted["_line"])
    assert rows["row_number"].to_pylist() == [line for line in range(2, 338) if line != 102]
    assert set(rows.column_names) == {"row_number", *TABLE_SCORING.names} - {"timestamp"}
    assert rows["nswprice"].equals(accepted["nswprice"])


@pytest.mark.parametrize(("shards", "instances"), [(0, 1), (100, 1), (101, 2), (400, 4), (10_000, 4)])
def test_a_large_file_has_several_instances_and_no_more_than_declared(shards: int, instances: int) -> None:
    assert instances_for(shards, most=4) == instances


@pytest.mark.usefixtures("champion")
def test_a_row_of_the_far_future_is_refused_as_in_a_request(score: Score, aws: Aws) -> None:
    """The drop came in January 1997."""
    head, first, second, *_ = week().decode().split("\n")
    body = "\n".join([head, first.replace("1997-01-01", "1997-12-31"), second.replace("1997-01-01", "9999-12-31")])
    assert body.count("1997-12-31") == body.count("9999-12-31") == 1
    assert score(land(body.encode()))["drops"][0]["accepted"] == 1
    (row,) = pq.read_table(io.BytesIO(aws.objects()[QUARANTINE])).to_pylist()
    assert (row["line"], row["reason"]) == (3, "range")


@pytest.mark.usefixtures("champion")
def test_called_again_it_writes_the_same(score: Score, aws: Aws) -> None:
    drop = land(week())
    first = score(drop)
    before = aws.objects()
    land(b"something else")
    assert score(drop) == first
    assert aws.objects() == before


def test_without_a_champion_the_drop_is_held_and_not_read(score: Score, aws: Aws) -> None:
    answer = score({"bucket": LANDING, "key": "electricity/scoring/never.csv"})
    assert (answer["outcome"], answer["parsed"], answer["rejected"]) == ("held", [], [])
    assert aws.objects() == {}


@pytest.mark.usefixtures("champion")
def test_without_an_object_the_newest_drop_is_meant(score: Score, aws: Aws) -> None:
    assert score()["rejected"][0]["reason"] == "missing"
    land(b"\x1f\x8b old", "old.csv")
    newest = land(week(), "new.csv")
    assert score()["drops"][0]["source"].endswith(f"/new.csv?versionId={newest['version_id']}")


@pytest.mark.usefixtures("champion")
def test_the_shards_of_several_drops_lie_together_and_each_drop_knows_its_own(score: Score, aws: Aws) -> None:
    """A drop of bad rows only, between two others, has none."""
    lines = week().splitlines(keepends=True)
    bodies = {"a.csv": week(), "b.csv": lines[0] + lines[101], "c.csv": b"".join(lines[:50])}
    answer = score(*(land(body, name) | {"drop_id": f"id-{name}"} for name, body in bodies.items()))
    found = [(one["drop_id"], one["accepted"], one["first_shard"], one["shards"]) for one in answer["drops"]]
    assert found == [("id-a.csv", 335, 0, 4), ("id-b.csv", 0, 4, 0), ("id-c.csv", 49, 4, 1)]
    assert answer["accepted"] == 384
    objects = aws.objects()
    assert sorted(key for key in objects if key.startswith(f"{STAGING}shards/")) == [
        f"{STAGING}shards/{number:05d}.arrow" for number in range(5)
    ]
    last = pa.ipc.open_stream(objects[f"{STAGING}shards/00004.arrow"]).read_all()
    assert last["row_number"].to_pylist() == list(range(2, 51))
    accepted = pq.read_table(io.BytesIO(objects["electricity/staging/id-c.csv/accepted.parquet"]))
    assert accepted["_line"].to_pylist() == list(range(2, 51))
    (row,) = pq.read_table(io.BytesIO(objects[QUARANTINE.replace(RUN, "id-b.csv")])).to_pylist()
    assert row["source"].partition("?")[0].endswith("/b.csv")


def table(rows: int) -> pa.Table:
    return pa.table(
        {
            "price": [number / 7 for number in range(rows)],
            "word": [None, *(f"{number:x}" * (number % 9) for number in range(1, rows))],
            "class": [0] * rows,
            "_line": pa.array(range(2, rows + 2), pa.int64()),
        }
    )


def cut(parts: list[pa.Table], columns: list[str], limit: int) -> list[bytes]:
    found: list[bytes] = []

    def put(number: int, body: bytes) -> None:
        assert number == len(found)
        found.append(body)

    shards = Shards(put, columns, limit=limit)
    for part in parts:
        shards.add(part)
    shards.finish()
    assert shards.number == len(found)
    return found


@pytest.mark.parametrize("limit", [2000, 20_000, 10**7])
@pytest.mark.parametrize("part", [1, 700, 20_000])
def test_every_row_once_in_order_within_the_limit(limit: int, part: int) -> None:
    whole = table(3000)
    bodies = cut([whole.slice(start, part) for start in range(0, 3000, part)], ["word", "price"], limit)
    found = pa.concat_tables([pa.ipc.open_stream(body).read_all() for body in bodies])
    assert found.column_names == [ROW, "word", "price"]
    assert found.equals(whole.select(["_line", "word", "price"]).rename_columns([ROW, "word", "price"]))
    assert max(map(len, bodies)) <= limit
    if part == 20_000:
        size = sum(map(len, bodies))
        assert len(bodies) <= 3 * size / limit + 1, "and no more shards than that takes"


def test_a_row_longer_than_the_limit_stands_alone() -> None:
    assert len(cut([table(3)], ["price"], 5)) == 3
