"""An operator takes a row out again that was dropped by mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pyiceberg.catalog.glue import GlueCatalog
from typer.testing import CliRunner

from console.cli.app import app
from console.local_cloud.local_cloud import SECRET_VARIABLE
from tests.end_to_end.conftest import Lived

HEADER = b"timestamp,day_of_week,period,nswprice,nswdemand,vicprice,vicdemand,transfer,class\n"
ROW = HEADER + b"%b,1,0.5,0.1,0.2,0.1,0.2,0.3,1\n"
MISTAKE = "1996-05-07T00:07:00"
"""Between two half hours, which no other row is."""


@pytest.fixture
def rows(lived: Lived, catalog: GlueCatalog) -> Callable[[], list[dict[str, Any]]]:
    """The rows of this moment in the table as it is now."""

    def found() -> list[dict[str, Any]]:
        table = catalog.load_table((lived.names.platform.database, lived.names.table("rows")))
        return table.scan(row_filter=f"timestamp = '{MISTAKE}'").to_arrow().to_pylist()  # type: ignore[no-any-return]

    return found


def test_a_row_is_withdrawn_through_the_deployed_function(
    lived: Lived, rows: Callable[[], list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", lived.cloud.endpoint_url)
    monkeypatch.setenv(SECRET_VARIABLE, lived.cloud.secret)
    lived.put("training", "mistake.csv", ROW % MISTAKE.encode())
    lived.rest()
    assert len(rows()) == 1
    words = ["withdraw", "--key", f"timestamp={MISTAKE}", "--reason", "the year is wrong", "--json"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert json.loads(result.stdout) == {"rows": 1, "labels": 0, "relabelled": 0}
    assert rows() == []
    items = lived.cloud.client("dynamodb").scan(TableName=lived.names.platform.audit_table)["Items"]
    (record,) = [item for item in items if item["event"]["S"] == "rows.withdrawn"]
    assert json.loads(record["details"]["S"])["reason"] == "the year is wrong"
