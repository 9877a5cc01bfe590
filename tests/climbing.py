"""Drives releases whose versions stand on phases: rows, time, and what the commands and the lake say."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.console.local_cloud.local_cloud import PLATFORM, LocalCloud
from millrace.messages.climb import TwoAnswers
from millrace.names import WorkloadNames
from millrace.state.pointers import ReleasePointers
from millrace.state.table import StateTable
from tests.electricity import REST_S

NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")
NEVER = "cron(0 7 1 1 ? 2199)"


def types(*words: str) -> Any:
    done = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout) if done.stdout else None


def shown(number: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in types("versions") if one["version"] == number)
    return found


def table(cloud: LocalCloud) -> StateTable:
    return StateTable(cloud.client("dynamodb"), NAMES)


def live(cloud: LocalCloud) -> str:
    champion = ReleasePointers(table(cloud)).champion()
    assert champion is not None
    return champion.version


def predict(cloud: LocalCloud, call: str, rows: pa.Table) -> None:
    cells = [row | {"timestamp": row["timestamp"].isoformat()} for row in rows.drop_columns(["class"]).to_pylist()]
    payload = json.dumps({"id": call, "rows": cells})
    answer = json.load(cloud.client("lambda").invoke(FunctionName=NAMES.prediction, Payload=payload)["Payload"])
    assert {one["model_version"] for one in answer["predictions"]} == {live(cloud)}


def later(cloud: LocalCloud, **by: float) -> None:
    cloud.wait(timeout_s=REST_S)  # what was decided is kept
    cloud.move_clock(cloud.now() + timedelta(**by))
    cloud.wait(timeout_s=REST_S)


def pairs(cloud: LocalCloud, version: str) -> list[TwoAnswers]:
    """The rows that both have answered, as they lie in the lake."""
    s3, bucket = cloud.client("s3"), PLATFORM.bucket("lake")
    under = f"electricity/climbs/{version}/"
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix=under).get("Contents", ())]
    bodies = [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys if key.endswith(".jsonl")]
    return [TwoAnswers.model_validate_json(line) for body in bodies for line in body.splitlines()]


def turned(rows: pa.Table, *, quarter: int) -> pa.Table:
    """The rows with the opposite label in one quarter of each day."""
    inside = pc.equal(pc.floor(pc.multiply(rows["period"], 3.999)), float(quarter))
    labels = pc.if_else(inside, pc.subtract(pa.scalar(1, rows["class"].type), rows["class"]), rows["class"])
    return rows.set_column(rows.column_names.index("class"), "class", labels)
