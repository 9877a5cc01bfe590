"""A million rows through ingestion, validation, the container and delivery: no size of a drop is too many rows."""

from __future__ import annotations

import http.client
import io
import socket
import sys
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.serving import started, write_model
from millrace.artefact.artefact import read_folder
from millrace.artefact.batch import CONTENT_TYPE
from millrace.state.pointers import Pointers
from tests import builders
from tests.builders import version
from tests.functions.cold_start import NAMES
from tests.functions.conftest import Aws

ROWS = 1_000_000
SAMPLE = Path(__file__).resolve().parents[3] / "workloads" / "electricity" / "sample" / "elec2.parquet"
LAKE, LANDING = NAMES.platform.bucket("lake"), NAMES.platform.bucket("landing")


def drop() -> bytes:
    """The sample again and again, a row each ten seconds: a drop holds no rows of more than a year ahead."""
    sample = pq.read_table(SAMPLE).drop_columns(["class", "timestamp"])
    rows = pa.concat_tables([sample] * (ROWS // sample.num_rows + 1)).slice(0, ROWS)
    times = np.datetime64("1996-05-07", "us") + np.arange(ROWS) * np.timedelta64(10_000_000, "us")
    return builders.parquet(rows.append_column("timestamp", pa.array(times)))


def transform(port: int, shards: str, answers: str) -> None:
    """Each object below `shards` in one request, as batch transform sends it with SplitType None."""
    s3 = boto3.client("s3")
    for entry in s3.list_objects_v2(Bucket=LAKE, Prefix=shards)["Contents"]:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        body = s3.get_object(Bucket=LAKE, Key=entry["Key"])["Body"].read()
        assert len(body) <= 6 * 2**20
        connection.request("POST", "/invocations", body, {"content-type": CONTENT_TYPE})
        answer = connection.getresponse()
        found = answer.read()
        assert answer.status == 200, found[:300]
        s3.put_object(Bucket=LAKE, Key=f"{answers}{Path(entry['Key']).name}.out", Body=found)
        connection.close()


@pytest.mark.night("a million rows; by day a few are scored")
def test_a_million_rows_are_scored(aws: Aws, tmp_path: Path, load: Any, event: Any) -> None:
    aws.pointers.move(Pointers(champion=version("7")))
    aws.s3.put_object(Bucket=LANDING, Key="electricity/scoring/all.parquet", Body=drop())
    payload = event("validation")
    payload["state"]["detail"]["objects"] = []
    payload["state"].pop("ingestion")
    for function in ("ingestion", "validation"):
        payload["state"][function] = {"answer": load(function)(payload)}
    sharded = payload["state"]["validation"]["answer"]
    assert (sharded["accepted"], sharded["drops"][0]["quarantined"]) == (ROWS, 0)
    write_model(tmp_path / "model")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {"MILLRACE_ML_ROOT": str(tmp_path), "MILLRACE_BIND": "127.0.0.1", "MILLRACE_WORKERS": "1"}
    variables |= {"MILLRACE_MODEL_VERSION": "7", "MILLRACE_MODEL_DIGEST": read_folder(tmp_path / "model").digest}
    variables |= {"SAGEMAKER_BATCH": "true", "SAGEMAKER_BIND_TO_PORT": str(port)}
    with started([sys.executable, "-m", "millrace.jobs.serving", "serve"], port, **variables) as process:
        transform(port, *(sharded[name].removeprefix(f"s3://{LAKE}/") for name in ("shards_uri", "transformed_uri")))
        status = Path(f"/proc/{process}/status").read_text()
    assert int(status.partition("VmHWM:")[2].split()[0]) / 1024 < 500
    (delivered,) = load("delivery")(payload)["drops"]
    assert delivered["rows"] == ROWS
    body = aws.s3.get_object(Bucket=LAKE, Key=delivered["uri"].removeprefix(f"s3://{LAKE}/"))["Body"].read()
    table = pq.read_table(io.BytesIO(body), columns=["row_number", "probability", "timestamp"])
    assert table["row_number"].to_pylist() == list(range(1, ROWS + 1))
