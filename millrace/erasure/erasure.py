"""One erasure: the stores one after the other, then a second look at each."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from itertools import chain, groupby
from operator import itemgetter
from pathlib import PurePosixPath
from typing import Any

from millrace.artefact.batch import ROW
from millrace.contract.csv_form import CsvForm
from millrace.contract.kinds import INTEGERS
from millrace.contract.schema import FEEDS, PREDICTION_ID, Contract
from millrace.datasets.tables import Lake
from millrace.erasure.files import UNREADABLE, Person, Rest, cells_in, rest_of, unescaped
from millrace.erasure.objects import Entry, delete, is_named, read, versions
from millrace.erasure.stores import AFTER_DROPS, ANSWERS, ERASED, FOLDERS, IMAGES, REVIEWS, STATE, WEIGHTS
from millrace.erasure.tables import PersonInTables
from millrace.errors import WithdrawalError
from millrace.evaluation.agreement import SAMPLE_FILE
from millrace.messages.withdrawal import ErasureRequest
from millrace.names import row_id_of
from millrace.state.erasures import ErasureProgress, pseudonym_of
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
SOURCE = re.compile(rb'"source":"s3://[^/]+/([^?"]+)')
"""The dropped file whose decisions a reference names."""


def check(contract: Contract, workload: Workload, column: str, cells: Sequence[str], reason: str) -> None:
    """Raise WithdrawalError for a key by which a person cannot be erased. No message repeats a cell."""
    rows = contract.rows
    keys = {name for key in rows.keys for name in key}
    if column not in keys:
        raise WithdrawalError(f"--key: expected a column of a key of {rows.name}: {sorted(keys)}, got {column!r}")
    if (kind := rows.column(column).kind) not in ("string", *INTEGERS):
        raise WithdrawalError(f"--key: expected a column of texts or of whole numbers, {column} is of {kind}s")
    if column in workload.prediction.tensor_columns:
        raise WithdrawalError(f"--key: expected no feature: each model has the words of {column}")
    for place, cell in enumerate(cells, start=1):
        if kind in INTEGERS and not re.fullmatch(r"[1-9]\d*", cell):
            raise WithdrawalError(f"--key: cell {place}: expected a whole number above 0 for {column}, in digits alone")
        if (length := len(re.findall(r"\w", cell))) < SHORTEST:
            raise WithdrawalError(f"--key: cell {place}: expected {SHORTEST} letters and digits at least, got {length}")
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
        names = filter(None, (column.name, column.name_in_file, column.formerly))
        cells = dict.fromkeys(names, frozenset(request.cells))
        self._person = Person(cells=cells, is_number=column.kind in INTEGERS)
        self._is_preview, self._state = request.is_preview, StateTable(dynamodb, self._names)
        reviews = StateTable(dynamodb, self._names, spread=SPREAD)
        self._items = ((self._state, ANSWERS), (reviews, REVIEWS))

    def steps(self) -> Iterator[None]:
        """Erase store by store, then count the versions of objects, and the items, that still name the person.

        Between any two objects the caller may end it; `done` has what was done, and is stored after each step."""
        done, looks = self._progress, ((1, store, self._named) for store in ERASED)
        erased = [(0, store, self._erase) for store in (() if self._is_preview else ERASED)]
        for place, store, count in [*erased, *looks][done.step :]:
            counts = done.counts.setdefault(store, [0, 0])
            counts[1] = 0  # a look begins anew
            for what, found in count(store):
                counts[place] += 0 if what and what == done.at else found
                if what and found:
                    # It goes when the next one is asked for: a call that is killed then has counted it.
                    done.at = what
                    done.put(self._state)
                yield
            done.step, done.at = done.step + 1, ""
            done.put(self._state)

    def find(self, pseudonyms: Collection[str], secret: str, *, end_s: float) -> tuple[str, ...]:
        """The cells of these people that are kept. Raises WithdrawalError if it takes longer than until `end_s`."""
        found, (column, *_), is_number = set[str](), self._person.cells, self._person.is_number
        for cells in self._cells():
            plain = {re.sub(r"^\+?0*(?=\d)|\.0+$", "", cell) if is_number else cell for cell in cells}
            found |= {cell for cell in plain if pseudonym_of({column: cell}, secret) in pseudonyms}
            if time.monotonic() > end_s:
                raise WithdrawalError("expected to look through all that is kept in one call: erase them by --key")
        return tuple(sorted(found))

    def _cells(self) -> Iterator[Collection[str]]:
        """By object and item the cells of the key, and the name of a dropped file: that of an image is its row's."""
        columns = self._person.cells
        for bucket, prefix in map(self._place, ERASED[:-1]):
            for one in versions(self._s3, bucket, prefix):
                with suppress(*UNREADABLE):
                    stem = PurePosixPath(one["Key"]).stem
                    yield {stem, *cells_in(read(self._s3, bucket, one), columns, self._form(one["Key"]))}
        for *_, item in self._items_of(None):
            yield [cell for text in _texts(item) for cell in cells_in(text.encode(), columns)]

    @cached_property
    def _whole(self) -> Person:
        """The person with all decisions about them."""
        return replace(self._person, cells={**self._person.cells, PREDICTION_ID: frozenset(self._decisions())})

    def _erase(self, store: str) -> Iterator[tuple[str, int]]:
        """What goes next, and how many records that are."""
        if store == AFTER_DROPS:
            yield from (("", 0) for _ in until_ended(Slots(self._state)))
        if store == STATE:
            for table, sort, _ in self._items_of(self._whole):
                yield sort, 1
                table.delete(sort, "attribute_exists(pk)")
        elif FOLDERS[store] == "tables":
            tables = PersonInTables(self._lake, self._s3, self._whole)
            self._progress.versions = sorted({*self._progress.versions, *tables.versions})
            yield from tables.erase(self._progress.cause)
        else:
            yield from self._erase_objects(store)

    def _erase_objects(self, store: str) -> Iterator[tuple[str, int]]:
        """By object how many records go of its newest version. Each version with the person goes, unreadable ones stay.

        The rest of the newest version takes its place; of a dropped file it is in no folder of a feed, and under
        another name if that names the person. Another object whose key does goes whole."""
        own, (bucket, prefix) = f"{self._names.workload}/", self._place(store)
        images, answered = {prefix + name for name in self._images(store)}, set[str]()
        for key, of_key in groupby(versions(self._s3, bucket, prefix), key=itemgetter("Key")):
            below, every, there = key.removeprefix(own), list(of_key), key
            if key in answered or (FOLDERS[store] == "samples" and not key.endswith(SAMPLE_FILE)):
                continue
            is_theirs = key in images or self._whole.is_named_by(key)
            if below.startswith(FEEDS):
                there = self._renamed(key) if is_theirs else f"{own}{RESTS}{below}"
            for one in every:
                rest, gone = self._rest_of(store, bucket, one, self._whole)
                if is_theirs:
                    rest, gone = rest if gone and there != key else None, gone or [b""]
                elif store == "lake/decisions" and rest and (unnamed := SOURCE.sub(self._unnamed, rest)) != rest:
                    rest, gone = unnamed, [*gone, rest]
                yield key, len(gone)
                if gone and one["IsLatest"]:
                    # What is left is there before the version goes: a call that dies between begins here again.
                    if rest is not None:
                        self._s3.put_object(Bucket=bucket, Key=there, Body=rest)
                    if len(every) > 1 and (rest is None or there != key):
                        self._s3.delete_object(Bucket=bucket, Key=key)  # no earlier version takes its place
                if gone:
                    if store == AFTER_DROPS:  # a shard's answers go before it: they say what came of each refused row
                        answered.add(answers := key.replace("/shards/", "/transformed/") + ".out")
                        for other in versions(self._s3, bucket, answers):
                            delete(self._s3, bucket, other)
                    delete(self._s3, bucket, one)

    def _renamed(self, key: str) -> str:
        """The key of what is left of a dropped file whose own key names the person."""
        own, _, below = key.partition("/")
        return f"{own}/{RESTS}{below.partition('/')[0]}/{sha256(below.encode()).hexdigest()}"

    def _unnamed(self, source: re.Match[bytes]) -> bytes:
        key = source[1].decode()
        return source[0].replace(source[1], self._renamed(key).encode()) if self._whole.is_named_by(key) else source[0]

    def _rest_of(self, store: str, bucket: str, one: Entry, person: Person) -> Rest:
        body, form, how = read(self._s3, bucket, one), self._form(one["Key"]), FOLDERS[store]
        try:
            rest, gone = rest_of(body, person, person.owns if how == "records" else person.names, form)
        except UNREADABLE:
            return body, ()
        return (None, [body]) if gone and how == "objects" else (rest, gone)

    def _form(self, key: str) -> CsvForm | None:
        feed = key.partition("/")[2].removeprefix(RESTS).partition("/")[0]
        return self._lake.contract.table(feed).csv if feed in FEEDS else None

    def _named(self, store: str) -> Iterator[tuple[str, bool]]:
        """Whether each version or item names the person. The text is looked through, whatever its form."""
        if store == STATE:
            yield from (("", True) for _ in self._items_of(self._person))
            return
        bucket, prefix = self._place(store)
        for one in versions(self._s3, bucket, prefix):
            is_weights = store.startswith("artefacts") and one["Key"].endswith(WEIGHTS)
            yield "", not is_weights and is_named(self._s3, bucket, one, self._person, self._form(one["Key"]))

    def _items_of(self, person: Person | None) -> Iterator[tuple[StateTable, str, Any]]:
        """The items that name the person, or all that may name one, with their tables and sort keys."""
        for table, prefixes in self._items:
            for sort, item in chain.from_iterable(table.in_order(prefix, page=1000) for prefix in prefixes):
                if not person or any(person.is_in(one.encode()) or person.is_named_by(one) for one in _texts(item)):
                    yield table, sort, item

    def _decisions(self) -> Iterator[str]:
        """The ids of the decisions about the person."""
        for key, record in self._records("lake/decisions", "lake/predictions"):
            row = json.loads(record)
            line = json.loads(row["line"]) if "line" in row else row
            drop = key.partition("run=")[2].partition("/")[0]
            yield line["eventMetadata"]["eventId"] if "eventMetadata" in line else row_id_of(drop, line[ROW])

    def _images(self, store: str) -> Iterator[str]:
        """The names of the images in this store that records of the person have."""
        if named_in := IMAGES.get(store):
            items = (("", str(item).encode()) for *_, item in self._items_of(self._person))
            for _, record in chain(self._records(*named_in.stores), items):
                yield from map(bytes.decode, named_in.name.findall(unescaped(record)))

    def _records(self, *stores: str) -> Iterator[tuple[str, bytes]]:
        """The person's records in these stores, with the keys of their objects."""
        for store, (bucket, prefix) in zip(stores, map(self._place, stores), strict=True):
            for one in versions(self._s3, bucket, prefix):
                yield from ((one["Key"], record) for record in self._rest_of(store, bucket, one, self._person)[1])

    def _place(self, store: str) -> tuple[str, str]:
        """The bucket and the prefix of a store."""
        bucket, _, folder = store.partition("/")
        return self._names.platform.bucket(bucket), f"{self._names.workload}/{folder}/"


def _texts(item: Any) -> list[str]:
    return [str(value) for attribute in item.values() for value in attribute.values()]
