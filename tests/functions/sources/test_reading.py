"""What is taken of a source's rows, of an API and of a real PostgreSQL: each once, in order. The rest is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import replace
from email.message import Message
from typing import Any

import pytest
from pydantic import ValidationError

from millrace.consumers.postgres import PostgresTable
from millrace.errors import SourceError
from millrace.functions.sources import http, postgres
from millrace.functions.sources.portion import MOST_BYTES, MOST_EQUAL, MOST_LINE, MOST_ROWS, take
from millrace.state.cursors import SourceCursor
from millrace.workload.ends import HttpSource, RowSource
from tests.consumers import HTTP, TABLE
from tests.functions.conftest import Aws
from tests.postgres import USER, asked, running
from tests.posts import Answer, answering_posts

START = SourceCursor(name="orders")
Rows = Iterable[dict[str, Any]]


def test_each_row_is_taken_once_while_others_come() -> None:
    """Of 25,000 rows hundreds share a value; then more come, first with the newest value alone."""
    cursor, ids, dice = START, list[int](), random.Random(7)
    rows = [{"id": number, "at": number // 300} for number in range(25_000)]
    for turn in range(5):
        while portion := take(rows, cursor, "at", is_kept=False):
            ids += [json.loads(line)["id"] for line in portion.body.splitlines()]
            cursor = portion.move(cursor)
        newest = max(row["at"] for row in rows)
        rows = [row for row in rows if row["at"] >= newest - 1]
        rows += [{"id": len(ids) + number, "at": newest + number // 7 * (turn // 2)} for number in range(20)]
        dice.shuffle(rows)  # so few that they need no order
    assert sorted(ids) == [*range(25_000 + 4 * 20)]


@pytest.mark.parametrize(
    ("rows", "came"),
    [
        ([{"id": 1}], "null"),
        ([{"at": 1}, {"at": "2026-11-01T06:00:00Z"}], '"2026'),
        ([{"at": "soon"}], '"soon"'),
        ([{"at": float("nan")}], "NaN"),
        ([{"at": True}], "true"),
        ([{"at": 1, "text": "x" * MOST_LINE}], "where at is 1"),
        (({"at": -number} for number in range(MOST_ROWS + 1)), "-1 behind a later one"),
        (({"at": -number, "text": "x" * 10**6} for number in range(MOST_BYTES // 10**6 + 1)), "-1 behind a later one"),
    ],
)
def test_rows_without_an_order_are_refused(rows: Rows, came: str) -> None:
    with pytest.raises(SourceError, match=f"source orders: .*expected .*got .*{came}"):
        take(rows, START, "at", is_kept=True)


def test_more_rows_of_one_value_than_can_be_told_apart_are_refused() -> None:
    cursor = replace(START, value="1", seen=b"x" * 8 * MOST_EQUAL)
    portion = take([{"at": 1}], cursor, "at", is_kept=True)
    assert portion
    with pytest.raises(SourceError, match="at most 20,000 rows with one value"):
        portion.move(cursor)


@pytest.mark.parametrize(
    ("page", "came"),
    [
        (b"<html>", "JSON, got <html>"),
        (b'{"data": [1]}', r"a list of objects, got \[1\]"),
        (b'{"data": [], "next": "/"}', "another page of localhost"),
        (b'{"data": [], "next": "https://elsewhere.example.com/"}', "got https://elsewhere"),
        (b" " * (http.MOST_BYTES + 1), "at most 33,554,432 bytes"),
    ],
)
def test_an_answer_that_is_no_page_of_rows_is_refused(page: bytes, came: str) -> None:
    def answer(_path: str, headers: Message, _body: bytes) -> Answer:
        return (200, page, {}) if headers["authorization"] == "Bearer x" else (401, b"", {})

    with answering_posts(answer) as port:
        source = HttpSource(url=f"http://localhost:{port}/", rows="data", next="next")
        with pytest.raises(SourceError, match=f"source orders: .*{came}"):
            list(http.rows("orders", source, None, "Bearer x"))


def test_a_table_is_read_in_order_from_the_cursor_on() -> None:
    times = [f"2026-11-01T06:00:00.{number:06d}+00:00" for number in range(250)]
    with running() as port:
        asked(port, "CREATE TABLE orders (id bigint, at timestamptz, amount numeric(20, 2))")
        source = PostgresTable(host="127.0.0.1", port=port, database="postgres", secret="shop", table="public.orders")
        values = ", ".join(f"({2**53 + number}, '{times[number]}', 0.10)" for number in reversed(range(250)))
        asked(port, f"INSERT INTO orders VALUES {values}")

        def rows(cursor: str = "at", after: object = None, given: PostgresTable = source) -> list[dict[str, Any]]:
            return list(postgres.rows("orders", given, cursor, after, json.dumps(USER)))

        found = rows()
        assert [(row["id"], row["at"], row["amount"]) for row in found[-1:]] == [(2**53 + 249, times[-1], 0.1)]
        assert [row["id"] for row in found] == [2**53 + number for number in range(250)]
        assert rows("at", times[200]) == found[200:] == rows("id", found[200]["id"])
        asked(port, "INSERT INTO orders VALUES (1, NULL, 0)")
        for wrong, came in (("at", "got null"), ("when", 'column "when" does not exist')):
            with pytest.raises(SourceError, match=came):
                rows(wrong, times[0])
        with pytest.raises(SourceError, match="ConnectionRefusedError"):
            rows(given=source.model_copy(update={"port": 1}))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "one of http and postgres, got 'neither'"),
        ({"http": HTTP, "postgres": TABLE}, "one of http and postgres, got 'both'"),
        ({"http": {"url": "http://localhost:1/"}}, "http.url: expected https"),
        ({"postgres": {**TABLE, "host": "10.0.0.7"}}, "postgres.host: expected a name that the internet resolves"),
        ({"http": HTTP, "feed": "rows"}, "feed\n.*'training', 'labels' or 'scoring'"),
        ({"http": HTTP, "cursor": 'at"'}, "cursor\n.*match pattern"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused(given: dict[str, Any], expected: str) -> None:
    declared = {"schedule": "rate(1 hour)", "feed": "training", "cursor": "at"}
    assert RowSource.model_validate({**declared, "http": HTTP}).http
    with pytest.raises(ValidationError, match=expected):
        RowSource.model_validate({**declared, **given})


def test_a_call_drops_all_that_is_left_some_thousand_rows_at_a_time(
    aws: Aws, load: Any, declare: Any, event: Any
) -> None:
    """The column of the contract is kept; a drop that a call before has written counts as it is."""
    rows = [{"timestamp": number, "id": number} for number in range(2 * MOST_ROWS + 1)]
    with answering_posts(lambda *_: (200, json.dumps(rows).encode(), {})) as port:
        api = {"url": f"http://localhost:{port}/"}
        source = {"schedule": "rate(1 hour)", "feed": "labels", "cursor": "timestamp", "http": api, "stages": ["local"]}
        declare(added=f"\n{json.dumps({'sources': {'orders': source}})[1:-1]}\n")
        handler = load("sources")
        assert handler(event("sources"))["drops"] == 3
        aws.dynamodb.delete_item(
            TableName=aws.state.name, Key={"pk": {"S": "electricity"}, "sk": {"S": "source#orders"}}
        )
        rows.append({"timestamp": 10**9, "id": 1})
        assert handler(event("sources"))["drops"] == 4
    bodies = [body.splitlines() for body in aws.objects("landing").values()]
    assert [len(body) for body in bodies] == [MOST_ROWS, MOST_ROWS, 1, 1]
    assert json.loads(bodies[0][0]) == rows[0]
