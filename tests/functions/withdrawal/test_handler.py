"""A person takes a drop back."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from tests.functions.ingestion.conftest import EVENTS
from tests.functions.ingestion.test_ingest import month, parquet
from tests.state_table import create_table


def test_a_drop_is_taken_back_once_and_audited(ingest: Any, load: Any, sample: pa.Table, cloud: Any) -> None:
    client, table = cloud.client("dynamodb"), ingest.names.platform.audit_table
    create_table(client, table)
    may, asked = month(sample, 1996, 5), json.loads((EVENTS / "withdrawal.json").read_text())
    ingest.run("training", "1996-05.parquet", parquet(may))
    gone = {"rows": may.num_rows, "labels": 0, "relabelled": 0}
    assert [load("withdrawal")(asked) for _ in range(2)] == [gone, gone]
    (record,) = client.scan(TableName=table)["Items"]
    assert asked["reason"] in record["details"]["S"]
