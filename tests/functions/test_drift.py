"""A drop with other columns than the contract is an event, whether it comes in or not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.functions.conftest import Aws

NAMES = "timestamp,day_of_week,period,nswprice,nswdemand,vicprice,vicdemand,transfer,class"
ROW = "1996-05-07 00:00:00,1,0.5,0.1,0.1,0.1,0.1,0.1,1"


def json_lines(**more: Any) -> str:
    row = dict(zip(NAMES.split(","), ROW.split(","), strict=True))
    return json.dumps({name: cell if name == "timestamp" else float(cell) for name, cell in row.items()} | more)


@pytest.mark.parametrize(
    ("body", "columns"),
    [
        (f"{NAMES},prix\n{ROW},1", {"columns": "unknown: 'prix'", "rejected": True}),
        (f"{NAMES.replace('vic', 'qld')}\n{ROW}", {"rejected": True}),
        (json_lines(prix=1), {"columns": "unknown: 'prix'", "rejected": False}),
        (json_lines(), None),
    ],
)
def test_a_drop_with_other_columns_is_told(
    body: str, columns: dict[str, Any] | None, aws: Aws, load: Any, event: Any, told: Any
) -> None:
    call = event("ingestion")
    (drop,) = call["state"]["detail"]["objects"]
    aws.s3.put_object(Bucket=drop["bucket"], Key=drop["key"], Body=body)
    load("ingestion")(call)
    found = [one["detail"] for one in told() if one["detail-type"] == "schema.drifted"]
    assert [one | (columns or {}) for one in found] == found
    assert [one["owner"] for one in found] == ["that of the workload"] * (columns is not None)
