"""Puts rows without a label before people while no version is live: the first version learns from their answers.

The rows are drawn by the digests of their keys: by chance, and the same at each call. Rows that are chosen for how far
they lie apart were measured to teach no more: at 50 labels .780 against .803 of drawn ones on adult, .690 against .718
on elec2."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import reduce
from heapq import nsmallest
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import In

from millrace.contract.kinds import as_json
from millrace.datasets.labelled_rows import join, parts
from millrace.datasets.labels import LabelColumns
from millrace.datasets.tables import Lake
from millrace.decisions import captured
from millrace.decisions.record import canonical
from millrace.decisions.review import item_of
from millrace.functions.room import WorkloadRoom
from millrace.messages.asked_labels import INPUT_BYTES, LabelAsked
from millrace.settings.drop import ValidationSettings
from millrace.state.reviews import ReviewQueue
from millrace.state.table import BATCH
from millrace.timestamps import parse_utc
from millrace.workload.policy import Policy

MOST_DRAWN = 10_000
"""So many rows are drawn at most, those that nobody has answered in time among them."""


class FirstLabels:
    """Of one workload, whose policy asks for them. `s3` is boto3's client."""

    def __init__(self, room: WorkloadRoom[ValidationSettings], lake: Lake, s3: Any, policy: Policy) -> None:
        self._lake, self._s3, self._spec = lake, s3, room.workload.prediction
        self._most, self._review = policy.labels_before_model or 0, policy.review
        self._queue = ReviewQueue(room.dynamodb, room.names)
        self._columns = LabelColumns.of(self._spec, room.names.workload)
        self._table = lake.contract.table("scoring")
        under = room.names.lake_uri(captured.FOLDER, "")
        self._long = captured.LongCells(columns=captured.long_columns(self._table), under=under)

    def ask(self, *, now: datetime) -> None:
        """Let as many rows wait as the policy says. One that ever waited does not wait again."""
        lacking = self._most - self._queue.count(most=self._most, now=now, has_opinions=False)
        chosen = dict(islice(self._new(), max(lacking, 0)))
        for name, cells in self._rows(chosen) if chosen else ():
            (short,), contents = self._long.split([cells])
            captured.keep(self._s3, contents)
            asked = LabelAsked(
                id=name,
                event_time=parse_utc(str(cells[self._spec.event_time])),
                key=chosen[name],
                input=canonical(short),
                source="batch",
            )
            if len(asked.input.encode()) <= INPUT_BYTES:
                self._queue.open(item_of(asked, self._review, reason="no_model", opened_at=now))

    def _new(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The id and the key of each drawn row that never waited."""
        drawn = nsmallest(MOST_DRAWN, self._unlabelled(), key=lambda one: one[0])
        for first in range(0, len(drawn), BATCH):
            some = dict(drawn[first : first + BATCH])
            known = self._queue.find([*some])
            yield from (one for one in some.items() if one[0] not in known)

    def _unlabelled(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for part in parts(self._lake.open("rows"), self._columns.read):
            rows = join(self._lake, self._columns, part).joined()
            is_empty = reduce(pc.and_, (pc.is_null(rows[name]) for name in self._columns.values))
            yield from map(_named, rows.filter(is_empty).select(self._spec.key).to_pylist())

    def _rows(self, chosen: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The chosen rows as a request has them, by id."""
        first = self._spec.key[0]
        which = In(term=first, literals={key[first] for key in chosen.values()})
        for part in parts(self._lake.open("rows"), self._table.names, which):
            names = [_named(key)[0] for key in part.select(self._spec.key).to_pylist()]
            rows = part.filter(pa.array([name in chosen for name in names], pa.bool_())).to_pylist()
            for name, row in zip(filter(chosen.__contains__, names), rows, strict=True):
                yield name, {column: as_json(cell) for column, cell in row.items()}


def _named(key: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The id of the item about the row with this key, and the key as JSON has it."""
    cells = {name: as_json(cell) for name, cell in key.items()}
    return f"row-{hashlib.sha256(canonical(cells).encode()).hexdigest()[:32]}", cells
