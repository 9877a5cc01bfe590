"""Items that wait for a person at the workload income, on moto."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from millrace.console.environment import Environment
from millrace.console.queries.reviews import reviews_of
from millrace.decisions.review import ReviewItem
from tests import builders
from tests.console import conftest, stored_cloud

NAMES = replace(stored_cloud.NAMES, workload="income")
NOW = datetime.now(UTC).replace(microsecond=0)
ROW = {"age": 39, "education": "<b>bachelors</b>", "hours_per_week": 40}
"""The page shows whatever cells an item has."""
PATH = "/income/review"


def item(number: int, **fields: Any) -> ReviewItem:
    """The items come in the order of their numbers."""
    opened = NOW - timedelta(hours=1) + timedelta(seconds=number)
    own = {"id": f"r-{number}", "key": {"id": f"p-{number}"}, "input": json.dumps({**ROW, "age": 30 + number})}
    own |= {"output": {"value": 1, "probability": 0.625, "confidence": 0.625}}
    return builders.review_item(opened, **own | fields)


def make_stores() -> None:
    """The tables and buckets that a review reads and writes."""
    conftest.make_stores(conftest.stage_of(NAMES.platform), "landing", "lake")


def open_items(environment: Environment, number: int) -> None:
    for each in range(1, number + 1):
        reviews_of(environment, NAMES).queue.open(item(each))
