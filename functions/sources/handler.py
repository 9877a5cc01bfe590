"""Drops the rows of a source that came after its cursor, and then moves the cursor.

    source#orders = {drops: 2, value: "2026-11-01T06:00:00Z"}
    rows at or after that value, without those seen  →  shop/training/orders/000002.jsonl, if there is no such object
    source#orders = {drops: 3, value: "2026-11-01T07:00:00Z"}

An object's name is the number of the drops before it. Whoever finds it there moves the cursor to its end: a call that
was killed before has written it. So each row is in one object, whenever a call ends."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import closing

import boto3

from millrace.aws.objects import put_new
from millrace.contract.load import load_contract
from millrace.functions.room import WorkloadRoom
from millrace.functions.sources import http, postgres
from millrace.functions.sources.portion import Portion, take
from millrace.messages.envelope import Event, Message
from millrace.settings.environment import Environment
from millrace.state.cursors import SourceCursor
from millrace.workload.ends import RowSource

MOST_DROPS = 20
"""The most drops of one call. What is left comes with the next one."""
ROOM = WorkloadRoom(Environment.parse(), __name__)
CONTRACT = load_contract(ROOM.settings.folder)
S3, SECRETS = boto3.client("s3"), boto3.client("secretsmanager")


class Due(Message):
    """Which source is due, by the name of its schedule: `source-orders`."""

    schedule: str


class Dropped(Message):
    """What a call has dropped."""

    source: str
    drops: int


@ROOM.handles(Event[Due])
def handler(call: Event[Due]) -> Dropped:
    """Drop what is new, some thousands of rows at a time. A repeated call drops what is left.

    Raises SourceError if the source does not give its rows."""
    name = call.detail.schedule.removeprefix("source-")
    source, drops, is_last = ROOM.workload.sources[name], 0, False
    while drops < MOST_DROPS and not is_last and (portion := advance(name, source)):
        drops, is_last = drops + 1, portion.is_last
    ROOM.logger.info("read", extra={"source": name, "drops": drops})
    return Dropped(source=name, drops=drops)


def advance(name: str, source: RowSource) -> Portion | None:
    """Drop the next rows and move the cursor behind them. None: there are none."""
    cursor = SourceCursor.find(ROOM.state, name) or SourceCursor(name=name)
    is_kept = source.cursor in CONTRACT.table(source.feed).name_of
    with closing(read(name, source, cursor)) as rows:
        portion = take(rows, cursor, source.cursor, is_kept=is_kept)
    if portion is None:
        return None
    file = f"{ROOM.names.workload}/{source.feed}/{name}/{cursor.drops:06d}.jsonl"
    place = {"Bucket": ROOM.names.platform.bucket("landing"), "Key": file}
    said = {"by": f"source {name}", "cursor": portion.value, "equal": str(portion.equal)}
    if put_new(S3, **place, Body=portion.body, Metadata=said) is None:
        found = S3.get_object(**place)
        said = found["Metadata"]
        portion = Portion(body=found["Body"].read(), value=said["cursor"], equal=int(said["equal"]), is_last=False)
    portion.move(cursor).put(ROOM.state)
    return portion


def read(name: str, source: RowSource, cursor: SourceCursor) -> Generator[dict[str, object]]:
    """The rows at or after the cursor; of an API that knows no cursor all of them."""
    after = json.loads(cursor.value) if cursor.value else None
    secret = SECRETS.get_secret_value(SecretId=source.kind.secret)["SecretString"] if source.kind.secret else ""
    if source.http:
        return http.rows(name, source.http, after, secret)
    assert source.postgres  # the declaration has one of them
    return postgres.rows(name, source.postgres, source.cursor, after, secret)
