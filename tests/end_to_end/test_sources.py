"""Rows of another system's API become rows of the table, each once, whenever a call ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from email.message import Message
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow.parquet as pq
import pytest

from millrace.console.local_cloud.local_cloud import LocalCloud
from millrace.contract.kinds import as_json
from millrace.state.cursors import SourceCursor
from millrace.state.table import StateTable
from tests.end_to_end.conftest import REST_S
from tests.end_to_end.test_queries import NAMES, SAMPLE, declaring, dropped, rows_of
from tests.localcloud.waiting import until
from tests.mails import mails
from tests.posts import Answer, answering_posts

FOLDER = f"{NAMES.workload}/training/market/"
ROWS = pq.read_table(SAMPLE).to_pylist()
SOURCE: dict[str, Any] = {
    "schedule": "rate(1 hour)",
    "feed": "training",
    "cursor": "changed",
    "stages": ["local"],
    "http": {
        "secret": "market/token",  # pragma: allowlist secret
        "header": "x-market",
        "rows": "data",
        "next": "links.next",
        "since": "since",
    },
}


class Market:
    """The API of the market: pages of 40 of the rows that have come, at or after a time. Three rows share a time."""

    token, count = "Bearer x", 0

    def __init__(self) -> None:
        self.asked = list[str]()

    def answer(self, path: str, headers: Message, _: bytes) -> Answer:
        self.asked.append(path.partition("?")[2])
        if headers["x-market"] != self.token:
            return 401, b"no such token", {}
        given = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        since, first = given.get("since", ""), int(given.get("first", 0))
        there = [
            {name: as_json(cell) for name, cell in row.items()} | {"changed": f"1997-01-01T{place // 3:02}:00:00Z"}
            for place, row in enumerate(ROWS[: self.count])
        ]
        found = [row for row in there if row["changed"] >= since]
        following = f"?since={since}&first={first + 40}" if first + 40 < len(found) else None
        return 200, json.dumps({"data": found[first : first + 40], "links": {"next": following}}).encode(), {}

    def table(self) -> list[Any]:
        """Time and demand of the rows that have come."""
        return [(row["timestamp"], row["nswdemand"]) for row in ROWS[: self.count]]


@pytest.fixture(scope="module")
def market() -> Market:
    return Market()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, market: Market) -> Iterator[LocalCloud]:
    with answering_posts(market.answer) as port:
        url = {"url": f"http://localhost:{port}/rows"}
        sources = {"market": SOURCE | {"http": SOURCE["http"] | url}}
        with declaring(tmp_path_factory.mktemp("sources"), sources=sources) as cloud:
            cloud.client("secretsmanager").create_secret(Name="market/token", SecretString=market.token)
            yield cloud


def next_hour(cloud: LocalCloud) -> list[str]:
    """The drops that there are after another run."""
    cloud.move_clock(cloud.now() + timedelta(hours=1))
    cloud.wait(timeout_s=REST_S)
    return [key for key in dropped(cloud) if key.startswith(FOLDER)]


def test_each_run_brings_the_rows_behind_the_last_one(cloud: LocalCloud, market: Market) -> None:
    """The third run finds one more row of the time at which the first one ended, the last one a time more."""
    for count, drops in ((53, 1), (53, 1), (54, 2), (57, 3)):
        market.count = count
        assert next_hour(cloud) == [f"{FOLDER}{number:06d}.jsonl" for number in range(drops)]
        assert rows_of(cloud) == market.table()
    assert market.asked[:2] == ["", "since=&first=40"]
    assert len(market.asked) == 2 + 3, "each later run asks for what is at or after the cursor alone"


def test_a_run_that_ends_between_drop_and_cursor_brings_no_row_twice(cloud: LocalCloud, market: Market) -> None:
    """It may not write the cursor, nor may its repetitions, which find more rows than its drop has."""
    iam, policy = cloud.client("iam"), {"RoleName": f"{NAMES.prefix}-sources", "PolicyName": "killed"}
    state = StateTable(cloud.client("dynamodb"), NAMES)
    before = SourceCursor.find(state, "market")
    refused = {"Effect": "Deny", "Action": "dynamodb:PutItem", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [refused]})
    iam.put_role_policy(**policy, PolicyDocument=document)
    for market.count in (60, 63):
        assert len(next_hour(cloud)) == 4
    assert SourceCursor.find(state, "market") == before
    iam.delete_role_policy(**policy)
    assert len(next_hour(cloud)) == 5
    assert rows_of(cloud) == market.table()


def test_a_source_that_refuses_is_told_to_a_person(cloud: LocalCloud, market: Market) -> None:
    market.token, market.count = "another", 64
    assert len(next_hour(cloud)) == 5
    until(lambda: [mail for mail in mails(cloud) if "undelivered" in mail])
    market.token = Market.token
    assert len(next_hour(cloud)) == 6
    assert rows_of(cloud) == market.table()
