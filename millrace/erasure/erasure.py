"""One erasure: the stores one after the other, then a second look at each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import chain
from typing import Any

from millrace.artefact.batch import ROW
from millrace.contract.schema import FEEDS, PREDICTION_ID, Contract
from millrace.datasets.tables import Lake
from millrace.decisions.captured import long_columns
from millrace.erasure import objects
from millrace.erasure.files import Person, Rest, rest_of, texts
from millrace.erasure.objects import is_named, read, versions
from millrace.erasure.stores import ANSWERS, ERASED, FOLDERS, LOOKED_AT, REVIEWS, STATE, WEIGHTS
from millrace.erasure.tables import PersonInTables
from millrace.errors import WithdrawalError
from millrace.messages.withdrawal import ErasureRequest
from millrace.names import row_id_of
from millrace.state.erasures import ErasureProgress
from millrace.state.reviews import SPREAD
from millrace.state.table import StateTable
from millrace.workload.declaration import Workload

SHORTEST = 4
"""The fewest characters of a cell: a shorter text stands in too many others."""
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
    if len(cell) < SHORTEST:
        raise WithdrawalError(f"--key: expected a cell of {SHORTEST} characters at least, got {len(cell)}")
    if cell in reason:
        raise WithdrawalError("--reason: expected a text without the key, since it stands in the audit for ever")


class Erasure:
    """It goes on where `progress` ends. `s3` and `dynamodb` are boto3's clients."""

    def __init__(self, lake: Lake, s3: Any, dynamodb: Any, request: ErasureRequest, progress: ErasureProgress) -> None:
        self._lake, self._s3, self._names, self._progress = lake, s3, lake.names, progress
        column = lake.contract.rows.column(request.column)
        self._person = Person(cells=dict.fromkeys((column.name, column.name_in_file), frozenset({request.cell})))
        self._is_preview = request.is_preview
        reviews = StateTable(dynamodb, self._names, spread=SPREAD)
        self._items = ((StateTable(dynamodb, self._names), ANSWERS), (reviews, REVIEWS))

    def steps(self) -> Iterator[None]:
        """Erase store by store, then count the versions of objects, and the items, that still name the person.

        Between any two objects the caller may end it; `progress` has what was done."""
        done = self._progress
        erased = [(done.removed, store, self._erase) for store in (() if self._is_preview else ERASED)]
        for counts, store, count in [*erased, *((done.left, store, self._named) for store in LOOKED_AT)][done.step :]:
            counts[store] = counts.get(store, 0) if counts is done.removed else 0  # a look begins anew
            for found in count(store):
                counts[store] += found
                yield
            done.step += 1

    @cached_property
    def _whole(self) -> Person:
        """The person with all decisions about them."""
        return Person(cells={**self._person.cells, PREDICTION_ID: frozenset(self._decisions())})

    def _erase(self, store: str) -> Iterator[int]:
        if store == STATE:
            for table, sort in self._items_of(self._whole):
                yield table.delete(sort, "attribute_exists(pk)")
        elif FOLDERS[store] == "tables":
            tables = PersonInTables(self._lake, self._s3, self._whole)
            self._progress.versions += tables.versions
            yield from tables.erase(self._progress.cause)
        else:
            yield from objects.erase(self._s3, *self._place(store), self._whole, self._rest_of(FOLDERS[store]))

    def _rest_of(self, how: str) -> Callable[[str, bytes], tuple[str, Rest]]:
        """The key for what is left of an object, and that. Of a dropped file it is in no folder of a feed."""
        contract, own, person = self._lake.contract, f"{self._names.workload}/", self._whole

        def rest(key: str, body: bytes) -> tuple[str, Rest]:
            below = key.removeprefix(own)
            feed = below.removeprefix(RESTS).partition("/")[0]
            form = next((contract.table(each).csv for each in FEEDS if each == feed), None)
            left, removed = rest_of(body, person, person.owns if how == "records" else person.names, form)
            if how == "objects" and removed:
                left, removed = None, [body]
            return f"{own}{RESTS}{below}" if below.startswith(FEEDS) else key, (left, removed)

        return rest

    def _named(self, store: str) -> Iterator[bool]:
        """Whether each version or item names the person. The text is looked through, whatever its form."""
        if store == STATE:
            yield from (True for _ in self._items_of(self._person))
            return
        bucket, prefix = self._place(store)
        for one in versions(self._s3, bucket, prefix):
            yield not one["Key"].endswith(WEIGHTS) and is_named(self._s3, bucket, one, self._person)

    def _items_of(self, person: Person) -> Iterator[tuple[StateTable, str]]:
        """The items that name the person, by their tables and sort keys."""
        for table, prefixes in self._items:
            for sort, item in chain.from_iterable(table.in_order(prefix, page=1000) for prefix in prefixes):
                values = (value for attribute in item.values() for value in attribute.values())
                if any(person.names(text) for one in values for text in texts(str(one).encode())):
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
