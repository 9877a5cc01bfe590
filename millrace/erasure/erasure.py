"""One erasure: the stores one after the other, then a second look at each."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from functools import cached_property
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

from millrace.artefact.batch import ROW
from millrace.contract.schema import FEEDS, PREDICTION_ID, Contract
from millrace.datasets.tables import Lake
from millrace.decisions.captured import long_columns
from millrace.erasure.files import UNREADABLE, Person, Rest, rest_of
from millrace.erasure.objects import delete, is_named, read, versions
from millrace.erasure.stores import AFTER_DROPS, ANSWERS, ERASED, FOLDERS, LOOKED_AT, REVIEWS, STATE, WEIGHTS
from millrace.erasure.tables import PersonInTables
from millrace.errors import WithdrawalError
from millrace.messages.withdrawal import ErasureRequest
from millrace.names import row_id_of
from millrace.state.erasures import ErasureProgress
from millrace.state.holdings import Slots
from millrace.state.reviews import SPREAD
from millrace.state.table import StateTable
from millrace.workload.declaration import Workload

SHORTEST = 4
"""The fewest letters and digits of a cell: a shorter text stands in too many others."""
PAUSE_S = 1.0
"""Seconds between two looks at the slots."""
RESTS = "erased/"
"""The folder in the landing bucket with the rest of dropped files."""


def check(contract: Contract, workload: Workload, column: str, cell: str, reason: str) -> None:
    """Raise WithdrawalError for a key by which a person cannot be erased. No message repeats the cell."""
    rows = contract.rows
    keys = {name for key in rows.keys for name in key}
    if column not in keys:
        raise WithdrawalError(f"--key: expected a column of a key of {rows.name}: {sorted(keys)}, got {column!r}")
    if rows.column(column).kind != "string":
        raise WithdrawalError(f"--key: expected a column of texts, {column} is of {rows.column(column).kind}s")
    if column in workload.prediction.tensor_columns:
        raise WithdrawalError(f"--key: expected no feature: each model has the words of {column}")
    if long_columns(rows):
        raise WithdrawalError(f"{rows.name}: expected no images: whose an image is, only the rows say that name it")
    if (length := len(re.findall(r"\w", cell))) < SHORTEST:
        raise WithdrawalError(f"--key: expected a cell of {SHORTEST} letters and digits at least, got {length}")
    if cell in reason:
        raise WithdrawalError("--reason: expected a text without the key, since it stands in the audit for ever")


def until_ended(slots: Slots) -> Iterator[int]:
    """Wait for the executions that are under way: they may have read a drop that has left, and write its rows."""
    under_way = {one.holder for one in slots.holdings()}
    while under_way & {one.holder for one in slots.holdings()}:
        time.sleep(PAUSE_S)
        yield 0


class Erasure:
    """It goes on where `done` ends. `s3` and `dynamodb` are boto3's clients."""

    def __init__(self, lake: Lake, s3: Any, dynamodb: Any, request: ErasureRequest, done: ErasureProgress) -> None:
        self._lake, self._s3, self._names, self._progress = lake, s3, lake.names, done
        column = lake.contract.rows.column(request.column)
        self._person = Person(cells=dict.fromkeys((column.name, column.name_in_file), frozenset({request.cell})))
        self._is_preview, self._state = request.is_preview, StateTable(dynamodb, self._names)
        reviews = StateTable(dynamodb, self._names, spread=SPREAD)
        self._items = ((self._state, ANSWERS), (reviews, REVIEWS))

    def steps(self) -> Iterator[None]:
        """Erase store by store, then count the versions of objects, and the items, that still name the person.

        Between any two objects the caller may end it; `done` has what was done, and is stored after each step."""
        done, looks = self._progress, ((1, store, self._named) for store in LOOKED_AT)
        erased = [(0, store, self._erase) for store in (() if self._is_preview else ERASED)]
        for place, store, count in [*erased, *looks][done.step :]:
            counts = done.counts.setdefault(store, [0, 0])
            counts[1] = 0  # a look begins anew
            for found in count(store):
                counts[place] += found
                yield
            done.step += 1
            done.put(self._state)

    @cached_property
    def _whole(self) -> Person:
        """The person with all decisions about them."""
        return Person(cells={**self._person.cells, PREDICTION_ID: frozenset(self._decisions())})

    def _erase(self, store: str) -> Iterator[int]:
        if store == AFTER_DROPS:
            yield from until_ended(Slots(self._state))
        if store == STATE:
            for table, sort in self._items_of(self._whole):
                yield table.delete(sort, "attribute_exists(pk)")
        elif FOLDERS[store] == "tables":
            tables = PersonInTables(self._lake, self._s3, self._whole)
            self._progress.versions = sorted({*self._progress.versions, *tables.versions})
            yield from tables.erase(self._progress.cause)
        else:
            yield from self._erase_objects(*self._place(store), FOLDERS[store])

    def _erase_objects(self, bucket: str, prefix: str, how: str) -> Iterator[int]:
        """The number of records that left each object. Each version that has the person goes, unreadable ones stay.

        The rest of the newest version takes its place; of a dropped file it is in no folder of a feed. An object whose
        key names the person goes whole."""
        own = f"{self._names.workload}/"
        for key, of_key in groupby(versions(self._s3, bucket, prefix), key=itemgetter("Key")):
            below, every, removed = key.removeprefix(own), list(of_key), 0
            there = f"{own}{RESTS}{below}" if below.startswith(FEEDS) else key
            for one in every:
                rest, gone = self._rest_of(below, read(self._s3, bucket, one), how)
                if self._whole.names(key.encode()):
                    rest, gone = None, [b""]
                removed = max(removed, len(gone))
                if gone and one["IsLatest"]:
                    # What is left is there before the version goes: a call that dies between begins here again.
                    if rest is not None:
                        self._s3.put_object(Bucket=bucket, Key=there, Body=rest)
                    if len(every) > 1 and (rest is None or there != key):
                        self._s3.delete_object(Bucket=bucket, Key=key)  # no earlier version takes its place
                if gone:
                    delete(self._s3, bucket, one)
            yield removed

    def _rest_of(self, below: str, body: bytes, how: str) -> Rest:
        feed, person = below.removeprefix(RESTS).partition("/")[0], self._whole
        form = self._lake.contract.table(feed).csv if feed in FEEDS else None
        try:
            rest, gone = rest_of(body, person, person.owns if how == "records" else person.names, form)
        except UNREADABLE:
            return body, ()
        return (None, [body]) if gone and how == "objects" else (rest, gone)

    def _named(self, store: str) -> Iterator[bool]:
        """Whether each version or item names the person. The text is looked through, whatever its form."""
        if store == STATE:
            yield from (True for _ in self._items_of(self._person))
            return
        bucket, prefix = self._place(store)
        for one in versions(self._s3, bucket, prefix):
            is_weights = store.startswith("artefacts") and one["Key"].endswith(WEIGHTS)
            yield not is_weights and is_named(self._s3, bucket, one, self._person)

    def _items_of(self, person: Person) -> Iterator[tuple[StateTable, str]]:
        """The items that name the person, by their tables and sort keys."""
        for table, prefixes in self._items:
            for sort, item in chain.from_iterable(table.in_order(prefix, page=1000) for prefix in prefixes):
                values = (value for attribute in item.values() for value in attribute.values())
                if any(person.is_in(str(one).encode()) for one in values):
                    yield table, sort

    def _decisions(self) -> Iterator[str]:
        """The ids of the decisions about the person."""
        for store in ("lake/decisions", "lake/predictions"):
            bucket, prefix = self._place(store)
            for one in versions(self._s3, bucket, prefix):
                drop = one["Key"].partition("run=")[2].partition("/")[0]
                for record in rest_of(read(self._s3, bucket, one), self._person, self._person.owns)[1]:
                    row = json.loads(record)
                    line = json.loads(row["line"]) if "line" in row else row
                    yield line["eventMetadata"]["eventId"] if "eventMetadata" in line else row_id_of(drop, line[ROW])

    def _place(self, store: str) -> tuple[str, str]:
        """The bucket and the prefix of a store."""
        bucket, _, folder = store.partition("/")
        return self._names.platform.bucket(bucket), f"{self._names.workload}/{folder}/"
