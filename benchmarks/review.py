"""Twenty people at one queue of decisions, and a consumer of their answers that is down a tenth of the time.

`python -m benchmarks.review`, or with another number of items behind it. Each person is a thread that takes the
next item and answers. Beside them two drop the labels, and every tenth PUT fails after it was done, which is the worst
way to fail. Their calls go to moto in this process, with what the local cloud adds to it: between two calls of one
person any of another may come.

Then 100,000 wait, and the first free one must be there within a second, by six calls: a query of one page in each
of the four partitions, the lease, the item.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from statistics import median
from typing import Any

import boto3
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends

from benchmarks import conclude
from localcloud.dynamodb.install import make_writes_atomic
from localcloud.dynamodb.order import keep_items_in_order
from localcloud.kernel.patching import undone
from millrace.decisions.answered import DROPPING, Reviews
from millrace.decisions.review import ReviewAnswer, ReviewItem
from millrace.state import audit
from millrace.state.reviews import ITEM, PAGE, SPREAD, ReviewQueue, _place
from millrace.state.table import StateTable
from millrace.timestamps import format_utc, parse_utc
from tests.credentials import KEYS
from tests.functions.cold_start import NAMES
from tests.state_table import create_table

ITEMS, PEOPLE, DROPPERS, DOWN_EVERY = 10_000, 20, 2, 10
ITEM_S = 1.0
"""The seconds that a person has for an item, on average. Twenty without a pause would only meet at one place."""
WAITING, FIRST_S, CALLS, ROUNDS = 100_000, 1.0, SPREAD.partitions + 2, 5
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


class Consumer:
    """The landing bucket, which takes a label and then says every tenth time that it has not."""

    def __init__(self, s3: Any) -> None:
        self.puts = self.failed = 0
        self._turn = threading.Lock()
        s3.meta.events.register("after-call.s3.PutObject", self._answer)

    def _answer(self, **_: Any) -> None:
        with self._turn:
            self.puts += 1
            if self.puts % DOWN_EVERY:
                return
            self.failed += 1
        raise EndpointConnectionError(endpoint_url="the landing bucket")


def lived(items: int) -> dict[str, int]:
    """What became of so many items at which PEOPLE have worked: how many were lost, and how many answered twice."""
    dynamodb, s3 = boto3.client("dynamodb"), boto3.client("s3")
    for table in (STATE, AUDIT):
        create_table(dynamodb, table)
    s3.create_bucket(Bucket=LANDING, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket=LANDING, VersioningConfiguration={"Status": "Enabled"})
    consumer, works = Consumer(s3), threading.Event()
    reviews = Reviews(dynamodb=dynamodb, s3=s3, names=NAMES)
    for number in range(items):
        reviews.queue.open(item(number))

    def work(person: int) -> list[str]:
        by, answered = f"arn:aws:sts::123456789012:assumed-role/Operators/p{person}", list[str]()
        pace = random.Random(person)
        # The clocks of people differ, and each waits for a while at every fiftieth item: others take what it had.
        now = AT + timedelta(days=1, seconds=person)
        while held := reviews.queue.next(by=by, now=now):
            time.sleep(pace.uniform(0, 2 * ITEM_S))
            if len(answered) % 50 == 49 and reviews.queue.skip(held):
                answered.append("")
                continue
            given = ReviewAnswer(value=person % 2, by=by, at=now, seconds=1.0, source="terminal")
            if reviews.queue.answer(held, given, label=f'{{"id":"{held.item.id}"}}\n'):
                answered.append(held.item.id)
        return [name for name in answered if name]

    def drop(_: int) -> None:
        """Drop labels until all have answered and none is left, as a person who goes on and the sweep do."""
        now = AT + timedelta(days=2)
        while True:
            time.sleep(ITEM_S)
            # Each turn may take over from one that failed.
            is_last, now = not works.is_set(), now + DROPPING
            with suppress(EndpointConnectionError):
                if not reviews.drop_labels(now=now) and is_last:
                    return

    works.set()
    with ThreadPoolExecutor(PEOPLE) as people, ThreadPoolExecutor(DROPPERS) as droppers:
        drops = droppers.map(drop, range(DROPPERS))
        try:
            given = Counter(name for names in people.map(work, range(PEOPLE)) for name in names)
        finally:
            works.clear()
        list(drops)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=LANDING)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    bodies = [s3.get_object(Bucket=LANDING, Key=key)["Body"].read() for key in keys]
    dropped = Counter(json.loads(line)["id"] for body in bodies for line in body.splitlines())
    records = Counter(one.details.decision for one in audit.read(dynamodb, table=AUDIT, workload=NAMES.workload))  # type: ignore[attr-defined]
    wanted = [item(number) for number in range(items)]
    lost = [one.id for one in wanted if not given[one.id] or not records[one.id]]
    lost += [one.id for one in wanted if not dropped[one.id]]
    return {
        "lost": len(lost) + reviews.queue.count(most=items, now=AT),
        "failed": consumer.failed,
        "twice": sum(count > 1 for count in (*given.values(), *records.values(), *dropped.values())),
    }


def first_of(waiting: int) -> tuple[float, int]:
    """The seconds until the first free of so many items is there, and the calls that it takes."""
    dynamodb = boto3.client("dynamodb")
    create_table(dynamodb, STATE)
    state = StateTable(dynamodb, NAMES, spread=SPREAD)
    table = dynamodb_backends[ACCOUNT_ID]["eu-west-1"].tables[STATE]
    for number in range(waiting):
        one = item(number)
        place = {"id": {"S": one.id}, "expires_at": {"S": format_utc(one.expires_at)}}
        table.put_item({**state._key(f"{ITEM}{one.id}"), **one.attributes, "place": {"S": _place(one)}})
        table.put_item({**state._key(_place(one)), **place})
    queue, calls = ReviewQueue(dynamodb, NAMES), list[str]()
    dynamodb.meta.events.register("before-call.dynamodb", lambda model, **_: calls.append(model.name))
    # Others have the first items: the first pages hold them all, and the first that is free.
    for person in range(PEOPLE):
        if not queue.next(by=f"p{person}", now=AT):
            raise SystemExit("expected an item for each of the people, got none")
    times = list[float]()
    for turn in range(ROUNDS):
        calls.clear()
        took_s, found = timed(lambda turn=turn: queue.next(by=f"late{turn}", now=AT))
        if found is None or found.item != item(PEOPLE + turn):
            raise SystemExit(f"expected item {PEOPLE + turn}, got {found}")
        times.append(took_s)
    return median(times), len(calls)


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """The seconds that the call takes, and its result."""
    began = time.perf_counter()
    found = call()
    return time.perf_counter() - began, found


def verdict(
    *, lost: int, twice: int, first_s: float, failed: int, calls: int = CALLS, items: int = ITEMS, took_s: float = 0.0
) -> dict[str, Any]:
    """The result: nothing lost, nothing twice, and the first item within a second, by one page of each partition."""
    return {
        "name": "review",
        "figure": round(first_s, 3),
        "unit": f"s until the first free of {WAITING} items is there",
        "bar": FIRST_S,
        "items": items,
        "people": PEOPLE,
        "lost": lost,
        "twice": twice,
        "failed_puts": failed,
        "calls": calls,
        "took_s": round(took_s, 1),
        "holds": lost == twice == 0 and first_s <= FIRST_S and calls == CALLS and failed > 0,
    }


@contextmanager
def cloud() -> Iterator[None]:
    """moto, with writes and queries as the local cloud has them."""
    with undone(), mock_aws():
        keep_items_in_order()
        make_writes_atomic()
        yield


def main() -> None:
    items = int(sys.argv[1]) if len(sys.argv) > 1 else ITEMS
    os.environ |= KEYS
    with cloud():
        first_s, calls = first_of(WAITING)
        print(f"the first free of {WAITING:,}: {first_s:.3f} s, {calls} calls, a page of {PAGE}")
    with cloud():
        took_s, found = timed(lambda: lived(items))
        print(f"{PEOPLE} people, {items:,} items: {found}, in {took_s:.0f} s")
    conclude(verdict(**found, first_s=first_s, calls=calls, items=items, took_s=took_s))


if __name__ == "__main__":
    main()
