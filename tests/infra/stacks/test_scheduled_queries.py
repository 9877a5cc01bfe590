"""A declared query has a schedule, and a machine that reads and writes what is declared alone."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.errors import FieldError
from millrace.workload.ends import Query


@pytest.mark.parametrize(
    "wrong",
    [
        {"sql": "SELECT 1; DROP TABLE electricity_rows"},
        {"sql": "INSERT INTO electricity_rows SELECT 1"},
        {"sql": ""},
        {"feed": "objects"},
        {"tables": {"orders": "s3://shop/orders/"}},
        {"tables": {"shop.orders": "s3://shop/*/"}},
        {"tables": {"shop.orders": "s3://shop/orders"}},
    ],
)
def test_what_is_no_query_stops(wrong: dict[str, Any]) -> None:
    given = {"schedule": "rate(1 day)", "feed": "scoring", "sql": "WITH a AS (SELECT 1 AS x) SELECT x FROM a"}
    Query(**given)
    with pytest.raises((ValueError, FieldError)):
        Query(**given | wrong)
