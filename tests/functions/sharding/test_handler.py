"""The sharding function beside moto's buckets and table, on a real week of rows."""

import importlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest
from moto import mock_aws

from console.demo.months import file_to_score, months
from millrace.contract.load import load_contract
from millrace.state.table import Pointers, State, Version

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "workloads" / "electricity" / "sample" / "elec2.parquet"
TABLE = load_contract(ROOT / "workloads" / "electricity").table("scoring")
LAKE, LANDING = (f"millrace-local-{purpose}-123456789012-eu-west-1" for purpose in ("lake", "landing"))
STAGING = "electricity/staging/5b5c7a4e1f/"
QUARANTINE = "electricity/quarantine/feed=scoring/date=1997-01-01/5b5c7a4e1f-refused.parquet"
CHAMPION = Version(
    package_arn="arn:aws:sagemaker:eu-west-1:123456789012:model-package/millrace-local-electricity/3",
    version="3",
    model_name="millrace-local-electricity-3",
    run="r",
    baseline_uri="s3://b/k",
)
Shard = Callable[[], dict[str, Any]]


@pytest.fixture
def shard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shard]:
    """The handler as the machine calls it, on whatever lies in the landing bucket."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "MILLRACE_STAGE": "local",
        "MILLRACE_ACCOUNT": "123456789012",
        "MILLRACE_REGION": "eu-west-1",
        "MILLRACE_WORKLOAD": "electricity",
        "MILLRACE_SHARD_BYTES": "20000",
        "MILLRACE_DROP_MB": "1",
    }.items():
        monkeypatch.setenv(name, value)
    context = SimpleNamespace(aws_request_id="1", function_name="s", memory_limit_in_mb=512, invoked_function_arn="arn")
    name = "functions.sharding.handler"
    sys.modules.pop(name, None)
    with mock_aws():
        for bucket in (LAKE, LANDING):
            place = {"LocationConstraint": "eu-west-1"}
            boto3.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
        boto3.client("s3").put_bucket_versioning(Bucket=LANDING, VersioningConfiguration={"Status": "Enabled"})
        boto3.client("dynamodb").create_table(
            TableName="millrace-local-state",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )
        module = importlib.import_module(name)

        def call(**detail: str) -> dict[str, Any]:
            event = json.loads((ROOT / "events" / "sharding.json").read_text())
            event["state"]["detail"] |= {"version_id": "", **detail}
            answer: dict[str, Any] = module.handler(event, context)
            return answer

        yield call
    sys.modules.pop(name, None)


@pytest.fixture
def champion(shard: Shard) -> None:
    state = State(boto3.client("dynamodb"), table="millrace-local-state", workload="electricity")
    state.move(Pointers(champion=CHAMPION))


def land(body: bytes, name: str = "week.csv") -> str:
    version: str = boto3.client("s3").put_object(Bucket=LANDING, Key=f"electricity/scoring/{name}", Body=body)[
        "VersionId"
    ]
    return version


def lake() -> dict[str, bytes]:
    s3 = boto3.client("s3")
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=LAKE).get("Contents", [])]
    return {key: s3.get_object(Bucket=LAKE, Key=key)["Body"].read() for key in keys}


def week() -> bytes:
    return file_to_score(months(SAMPLE, "1997-01", "1997-01")[0])


@pytest.mark.usefixtures("champion")
def test_every_row_becomes_a_line_of_a_shard_or_a_quarantined_row(shard: Shard) -> None:
    version = land(week())
    answer = shard(version_id=version)
    assert answer == {
        "held": False,
        "rejected": "",
        "source": f"s3://{LANDING}/electricity/scoring/week.csv?versionId={version}",
        "accepted": 335,
        "quarantined": 1,
        "shards": 3,
        "shards_uri": f"s3://{LAKE}/{STAGING}shards/",
        "transformed_uri": f"s3://{LAKE}/{STAGING}transformed/",
        "model_name": "millrace-local-electricity-3",
        "model_version": "3",
    }
    objects = lake()
    shards = [objects[f"{STAGING}shards/{number:05d}.jsonl"] for number in range(3)]
    assert all(len(body) <= 20_000 for body in shards)
    rows = [json.loads(line) for body in shards for line in body.splitlines()]
    assert [row["id"] for row in rows] == [str(number) for number in range(335)]
    accepted = pq.read_table(io.BytesIO(objects[f"{STAGING}accepted.parquet"]))
    assert [row["nswprice"] for row in rows] == accepted.column("nswprice").to_pylist()
    assert set(rows[0]) == {"id", *TABLE.names} - {"timestamp"}


@pytest.mark.usefixtures("champion")
def test_the_bad_record_is_kept_with_its_place_and_reason(shard: Shard) -> None:
    shard(version_id=land(week()))
    (row,) = pq.read_table(io.BytesIO(lake()[QUARANTINE])).to_pylist()
    assert (row["line"], row["reason"]) == (102, "range")
    assert "17.5" in row["detail"]
    assert json.loads(row["raw"])["nswdemand"] == 17.5
    assert row["quarantined_at"].replace(tzinfo=UTC) == datetime(1997, 1, 1, 8, 0, 12, tzinfo=UTC)


@pytest.mark.usefixtures("champion")
def test_a_drop_that_the_disk_has_no_room_for_is_refused_and_not_read(
    shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = land(b" " * (2**20 + 1))
    landing: Any = sys.modules["functions.sharding.handler"].LANDING
    monkeypatch.setattr(landing._client, "download_file", None)
    answer = shard(version_id=version)
    assert (answer["rejected"], answer["accepted"], answer["quarantined"], answer["shards"]) == ("too_large", 0, 1, 0)
    (row,) = pq.read_table(io.BytesIO(lake()[QUARANTINE])).to_pylist()
    assert (row["line"], row["detail"]) == (None, "too_large: expected 1048576 bytes at most, came 1048577")


@pytest.mark.usefixtures("champion")
def test_asked_again_it_writes_the_same(shard: Shard) -> None:
    version = land(week())
    shard(version_id=version)
    before = lake()
    land(b"something else", "week.csv")
    shard(version_id=version)
    assert lake() == before


def test_without_a_champion_the_drop_is_held(shard: Shard) -> None:
    land(week())
    assert shard()["held"] is True
    assert lake() == {}


@pytest.mark.usefixtures("champion")
def test_what_holds_no_rows_is_quarantined_whole(shard: Shard) -> None:
    land(b"\x1f\x8b rubbish")
    answer = shard()
    assert (answer["rejected"], answer["accepted"], answer["shards"], answer["quarantined"]) == ("foreign", 0, 0, 1)
    assert list(lake()) == [QUARANTINE]


@pytest.mark.usefixtures("champion")
def test_without_a_key_the_newest_drop_is_meant(shard: Shard) -> None:
    land(b"\x1f\x8b old", "old.csv")
    land(week(), "new.csv")
    assert "/new.csv?versionId=" in shard(key="")["source"]
