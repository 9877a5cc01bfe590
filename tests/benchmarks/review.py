"""Twenty people at one queue of decisions, none lost and none answered twice: `python -m tests.benchmarks.review`.

Each is a thread that takes the next item and answers; then two drop the labels at once. Their calls go to moto in this
process, one by one: between two calls of one person any of another may come. There a call costs the more the more items
the table has, so it is 300 items by default; `python -m tests.benchmarks.review 10000` takes hours.

Then many wait, and the first free item must be there by three calls, a page of one query among them, in less than twice
the time of a bare query for a single item, side by side: so the queue adds nothing that grows. How long the query takes
is DynamoDB's: moto looks at every item of the table, AWS at the page alone.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from statistics import median
from typing import Any

import boto3
from moto import mock_aws

from millrace.decisions.answered import Reviews
from millrace.decisions.review import ReviewAnswer, ReviewItem, label_key
from millrace.state import audit
from millrace.state.reviews import ITEM, PAGE, WAIT, ReviewQueue, _place, _to_item
from millrace.timestamps import format_utc, parse_utc
from tests.benchmarks import conclude
from tests.functions.cold_start import NAMES
from tests.state_table import create_table

ITEMS, PEOPLE, WAITING, TIMES = 300, 20, 3000, 2.0
ROUNDS = 5
AT = parse_utc("1997-06-01T06:00:00Z")
STATE, AUDIT, LANDING = NAMES.platform.state_table, NAMES.platform.audit_table, NAMES.platform.bucket("landing")


def item(number: int) -> ReviewItem:
    return ReviewItem(
        id=f"r-{number}",
        reason="unsure",
        priority=2,
        opened_at=AT + timedelta(seconds=number),
        event_time=AT,
        expires_at=AT + timedelta(days=30),
        key={"timestamp": "1997-06-01T06:00:00"},
        input='{"nswdemand":0.4,"nswprice":0.05}',
        output={"value": 1, "confidence": 0.6},
        model_version="1",
        source="api",
    )


def one_by_one(*services: str) -> list[Any]:
    """The clients of the services, of whose calls one runs at a time: moto tests, then writes."""
    turn = threading.Lock()

    def alone(call: Callable[..., Any]) -> Callable[..., Any]:
        def locked(*given: Any) -> Any:
            with turn:
                return call(*given)

        return locked

    clients = [boto3.client(service) for service in services]
    for client in clients:
        client._make_api_call = alone(client._make_api_call)
    return clients


def lived(items: int) -> dict[str, int]:
    """What became of so many items at which PEOPLE have worked: how many were lost, and how many answered twice."""
    dynamodb, s3 = one_by_one("dynamodb", "s3")
    for table in (STATE, AUDIT):
        create_table(dynamodb, table)
    s3.create_bucket(Bucket=LANDING, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket=LANDING, VersioningConfiguration={"Status": "Enabled"})
    reviews = Reviews(dynamodb=dynamodb, s3=s3, names=NAMES)
    for number in range(items):
        reviews.queue.open(item(number))

    def work(person: int) -> list[str]:
        by, answered = f"arn:aws:sts::123456789012:assumed-role/Operators/p{person}", list[str]()
        # The clocks of people differ, and each waits for a while at every fiftieth item: others take what it had.
        now = AT + timedelta(days=1, seconds=person)
        while held := reviews.queue.next(by=by, now=now):
            if len(answered) % 50 == 49 and reviews.queue.skip(held):
                answered.append("")
                continue
            given = ReviewAnswer(value=person % 2, by=by, at=now, seconds=1.0, source="terminal")
            if reviews.queue.answer(held, given, label=f'{{"class":{person % 2}}}\n'):
                answered.append(held.item.id)
        return [name for name in answered if name]

    with ThreadPoolExecutor(PEOPLE) as people:
        given = Counter(name for names in people.map(work, range(PEOPLE)) for name in names)
        # Two drop what all have answered at once, as a person who goes on and the sweep may.
        later = AT + timedelta(days=2)
        list(people.map(lambda _: reviews.drop_labels(now=later), range(2)))
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=LANDING)
    dropped = {entry["Key"] for page in pages for entry in page.get("Contents", [])}
    records = Counter(one.details.decision for one in audit.read(dynamodb, table=AUDIT, workload=NAMES.workload))  # type: ignore[attr-defined]
    wanted = {item(number).id for number in range(items)}
    lost = [name for name in wanted if not given[name] or not records[name]]
    keys = {label_key(NAMES.workload, name) for name in wanted}
    return {
        "lost": len(lost) + len(keys - dropped) + reviews.queue.count(most=items),
        "twice": sum(count > 1 for count in (*given.values(), *records.values())) + len(dropped - keys),
    }


def first_of(waiting: int) -> tuple[float, int]:
    """How many times as long as a bare query the first free of so many items takes, and the calls that it takes."""
    dynamodb = boto3.client("dynamodb")
    create_table(dynamodb, STATE)
    key, several = f"review#{NAMES.workload}", list[dict[str, Any]]()
    for number in range(waiting):
        one = item(number)
        place = {"id": {"S": one.id}, "expires_at": {"S": format_utc(one.expires_at)}}
        several += [
            {"pk": {"S": key}, "sk": {"S": f"{ITEM}{one.id}"}, **_to_item(one, _place(one))},
            {"pk": {"S": key}, "sk": {"S": _place(one)}, **place},
        ]
        if len(several) >= 24 or number == waiting - 1:
            put = [{"PutRequest": {"Item": each}} for each in several]
            dynamodb.batch_write_item(RequestItems={STATE: put})
            several = []
    queue, calls = ReviewQueue(dynamodb, NAMES), list[str]()
    dynamodb.meta.events.register("before-call.dynamodb", lambda model, **_: calls.append(model.name))
    # Others have the first items: one page holds them all, and the first that is free.
    for person in range(PEOPLE):
        if not queue.next(by=f"p{person}", now=AT):
            raise SystemExit("expected an item for each of the people, got none")
    times = list[float]()
    for turn in range(ROUNDS):
        calls.clear()
        took_s, found = timed(lambda turn=turn: queue.next(by=f"late{turn}", now=AT))
        if found is None or found.item != item(PEOPLE + turn):
            raise SystemExit(f"expected item {PEOPLE + turn}, got {found}")
        made = len(calls)
        bare_s, _ = timed(
            lambda: dynamodb.query(
                TableName=STATE,
                KeyConditionExpression="pk = :pk AND begins_with(sk, :wait)",
                ExpressionAttributeValues={":pk": {"S": key}, ":wait": {"S": WAIT}},
                Limit=1,
            )
        )
        times.append(took_s / bare_s)
    return median(times), made


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """The seconds that the call takes, and its result."""
    began = time.perf_counter()
    found = call()
    return time.perf_counter() - began, found


def verdict(*, lost: int, twice: int, times: float, calls: int = 3, items: int = ITEMS) -> dict[str, Any]:
    """The result: nothing lost, nothing twice, and the first item by one query."""
    return {
        "name": "review",
        "figure": round(times, 2),
        "unit": f"times a bare query, until the first free of {WAITING} items is there",
        "bar": TIMES,
        "items": items,
        "people": PEOPLE,
        "lost": lost,
        "twice": twice,
        "calls": calls,
        "holds": lost == 0 and twice == 0 and times <= TIMES and calls == 3,
    }


def main() -> None:
    items = int(sys.argv[1]) if len(sys.argv) > 1 else ITEMS
    os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "eu-west-1"}
    with mock_aws():
        took_s, found = timed(lambda: lived(items))
        print(f"{PEOPLE} people, {items:,} items: {found}, in {took_s:.0f} s")
    with mock_aws():
        times, calls = first_of(WAITING)
        print(f"the first free of {WAITING:,}: {times:.2f} times a bare query, {calls} calls, a page of {PAGE}")
    conclude(verdict(**found, times=times, calls=calls, items=items))


if __name__ == "__main__":
    main()
