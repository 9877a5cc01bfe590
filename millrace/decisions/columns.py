"""Decisions as tables, from a job's folder or from S3: a million are read column by column, and no line is parsed.

    id    event_time   …  input            input.nswprice  output.value  output.confidence  watched.likeness
    r-0   12:00:00     …  {"nswprice":…}            0.056             1               0.87              0.31

`store` says where decisions lie, and which line of an id counts; of two with the same time it is the one with the
greater cells. A line that `record.to_line` has not written, or with a cell of an unusual kind, is read alone by
`record.from_line`: that says what a decision is.

Axes: N rows of the table.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq

from millrace.aws.objects import RangedObject
from millrace.contract.kinds import FLOATS, INTEGERS, Kind, arrow_type, parse_cell
from millrace.decisions import absorbed, record, scored
from millrace.decisions.record import Decision, canonical
from millrace.decisions.scored import ScoredDay
from millrace.decisions.store import (
    bodies_of,
    days_by_drop,
    delivered_file,
    read_lines,
    stored_objects,
)
from millrace.packing import packed
from millrace.tasks.answer import arrow_type as answer_type
from millrace.tasks.task import AnswerField

INPUT, OUTPUT, WATCHED = "input.", "output.", "watched."
"""Before the name of a cell of the input, of a field of the answer and of a measure."""
TIME, TIMES = pa.timestamp("us", "UTC"), ("event_time", "inferred_at")
KINDS = {"boolean": pa.bool_(), "double": pa.float64()}
PLAIN: Mapping[str, pa.DataType] = {
    one.name: TIME if one.name in TIMES else KINDS.get(one.kind.athena, pa.string())
    for one in sorted(record.FIELDS, key=lambda field: field.place)
    if one.column and one.name not in {"input_digest", "output", "phase", "watched"}
}
"""Fields of `Decision` that have a column. `key` and `withheld` are JSON."""
READ = tuple(name for name in (*absorbed.FIELDS, *absorbed.OBJECTS) if name != "phase")
PART_BYTES = 32 * 2**20
"""Lines that are read together."""
SCORED_ROWS = 20_000
"""Rows of a scored file that are read together."""


@dataclass(frozen=True, kw_only=True)
class ColumnShape:
    """What of inputs, answers and measures has a column."""

    cells: Mapping[str, Kind | None]
    """By name in the input its kind; None: it is read as text. A cell that does not fit is null."""
    answer: tuple[AnswerField, ...]
    measures: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        # Of two rows that tie the greater counts, so the columns have the order of the fields in a line.
        first, *plain = PLAIN.items()
        return pa.schema([first, *self.parsed(OUTPUT), *plain, *self.parsed(INPUT), *self.parsed(WATCHED)])

    def parsed(self, part: str) -> list[tuple[str, pa.DataType]]:
        """The columns of a part with their types."""
        kinds: dict[str, pa.DataType] = {
            INPUT: {name: arrow_type(kind or "string") for name, kind in self.cells.items()},
            OUTPUT: {one.name: answer_type(one) for one in self.answer},
            WATCHED: dict.fromkeys(self.measures, pa.float64()),
        }[part]
        return [(part + name, kind) for name, kind in kinds.items()]


@dataclass(frozen=True, kw_only=True)
class StoredTable:
    """One decision for each id, in the order of event time and id."""

    table: pa.Table
    unreadable: int
    """The lines that are no decisions, and the scored files that are gone."""


def read_folder(folder: Path, *, workload: str, shape: ColumnShape) -> StoredTable:
    """The decisions in the `.jsonl` files and in files of absorbed lines below the folder, and in the delivered files
    that references there name."""
    reader = _Reader(shape)
    bodies = (path.read_bytes() for path in sorted(folder.rglob("*.jsonl")))
    parts = [shape.schema.empty_table(), *reader.of_bodies(bodies)]
    for path in sorted(folder.rglob("absorbed/*/*.parquet")):
        parts += reader.of_file(path)
    references = {str(path): path.read_bytes() for path in folder.rglob("_*.json")}
    for drop, days in days_by_drop(references).items():
        file = folder / scored.delivered_key("", drop).lstrip("/")
        parts += reader.of_scored(str(file) if file.exists() else None, days, workload, drop)
    return StoredTable(table=newest(pa.concat_tables(parts)), unreadable=reader.unreadable)


def read_parts(
    client: Any,
    bucket: str,
    workload: str,
    days: Collection[date],
    *,
    shape: ColumnShape,
    most_scored: int = scored.MOST_ROWS,
    wanted: Callable[[pa.Table], pa.Array] | None = None,
    within: tuple[datetime, datetime] | None = None,
) -> Iterator[pa.Table]:
    """The decisions in the lake with an event time on one of the days (UTC), a part at a time, in any order. An id may
    come in several parts: `newest` says which decision counts. `client` is boto3's S3 client.

    Of a scored file the rows are read that `wanted` chooses, else about `most_scored`: with 0 the file is left out.
    Others before or behind the times `within` may be left out: most of a file is then not read."""
    reader, stored = _Reader(shape, within), stored_objects(client, bucket, workload, days)
    yield from reader.of_bodies(bodies_of(client, bucket, stored.lines))
    for key in map(absorbed.file_of, stored.absorbed):
        with RangedObject(client, bucket, key) as file:
            yield from reader.of_file(file)
    names = stored.scored if most_scored else ()
    references = dict(zip(names, bodies_of(client, bucket, names), strict=True))
    for drop, about in days_by_drop(references).items():
        with delivered_file(client, bucket, workload, drop) as file:
            yield from reader.of_scored(file, about, workload, drop, most=most_scored, wanted=wanted)


class _Reader:
    """Reads decisions, a part at a time. `unreadable` counts as in `StoredTable`."""

    def __init__(self, shape: ColumnShape, within: tuple[datetime, datetime] | None = None) -> None:
        self.shape = shape
        self.unreadable = 0
        self._within = within and (record.iso(within[0]), record.iso(within[1]))

    def of_bodies(self, bodies: Iterable[bytes]) -> Iterator[pa.Table]:
        """The decisions of the lines of objects."""
        with_lines = filter(None, (body.removesuffix(b"\n") for body in bodies))
        for portion in packed(with_lines, (len, PART_BYTES)):
            yield from self._of_portion(portion)

    def _of_portion(self, bodies: list[bytes]) -> Iterator[pa.Table]:
        # An object that Arrow cannot read is looked for by halves.
        if (rows := absorbed.table_of(b"\n".join(bodies))) is not None:
            yield from self._of_rows(rows, lambda: rows)
        elif len(bodies) == 1:
            yield self._of_lines(bodies[0].splitlines())
        else:
            middle = len(bodies) // 2
            yield from self._of_portion(bodies[:middle])
            yield from self._of_portion(bodies[middle:])

    def of_file(self, path: Path | RangedObject) -> Iterator[pa.Table]:
        """The decisions of a file of absorbed lines, of which only unusual ones are read whole."""
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=True) as file:
            for group in range(file.num_row_groups):
                if self._may_have(file.metadata.row_group(group)):
                    rows = file.read_row_group(group, columns=READ)
                    yield from self._of_rows(rows, partial(file.read_row_group, group, columns=["line"]))

    def _may_have(self, group: pq.RowGroupMetaData) -> bool:
        """Whether a decision of the group may be asked for, by its footer. Only usual lines have comparable times."""
        columns = {group.column(place).path_in_schema: group.column(place) for place in range(group.num_columns)}
        at, keys = (columns[name].statistics for name in ("event_time", "key"))
        if self._within is None or not (at and at.has_min_max and keys and keys.has_null_count) or keys.null_count:
            return True
        return bool(at.min <= self._within[1] and at.max >= self._within[0])

    def of_scored(
        self, file: str | None, days: Mapping[date, ScoredDay], workload: str, drop: str, **which: Any
    ) -> Iterator[pa.Table]:
        """The decisions about the days in a delivered file; if it is gone, each of its days is unreadable."""
        if file is None:
            self.unreadable += len(days)
            return
        rows = scored.read_rows(file, days, workload=workload, drop_id=drop, **which)
        while some := list(islice(rows, SCORED_ROWS)):
            yield of_decisions(some, self.shape)

    def _of_rows(self, rows: pa.Table, lines: Callable[[], pa.Table]) -> Iterator[pa.Table]:
        """`lines` gives the same rows with their `line`."""
        if self._within:
            asked, whole = _asked(rows, *self._within), lines
            rows, lines = rows.filter(asked), lambda: whole().filter(asked)
        is_usual_N = _is_usual(rows)
        part = _parse(rows.filter(pa.array(is_usual_N)), self.shape)
        if part is None:
            is_usual_N[:] = False
        else:
            yield part
        if not is_usual_N.all():
            yield self._of_lines(lines().column("line").filter(pa.array(~is_usual_N)).to_pylist())

    def _of_lines(self, lines: Iterable[str | bytes]) -> pa.Table:
        found = read_lines(lines)
        self.unreadable += found.unreadable
        return of_decisions(found.decisions, self.shape)


def _asked(rows: pa.Table, low: str, high: str) -> pa.ChunkedArray:
    """Which rows may be asked for: those of these times, and unusual lines, whose times nobody has compared."""
    times = rows.column("event_time")
    inside = pc.and_(pc.greater_equal(times, low), pc.less_equal(times, high))
    return pc.or_(inside, pc.is_null(rows.column("key")))


def _is_usual(rows: pa.Table) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether each row's line is as `to_line` writes it, as far as can be seen without its cells (N)."""
    inputs, outputs = rows.column("input"), rows.column("output")
    looks = pc.is_valid(rows.column("key"))
    for begin, texts in (("{", inputs), ('{"value":', outputs)):
        is_one_object = pc.and_(pc.starts_with(texts, begin), pc.ends_with(texts, "}"))
        looks = pc.and_(looks, pc.and_not(is_one_object, pc.match_substring(texts, "\n")))
    looks = pc.and_(looks, pc.is_finite(rows.column("latency_ms")))
    usual_N = pc.fill_null(looks, fill_value=False).to_numpy()
    digests = zip(
        pc.cast(inputs, pa.binary()).to_pylist(), rows.column("input_digest").to_pylist(), usual_N.tolist(), strict=True
    )
    return np.array([usual and hashlib.sha256(text).hexdigest() == said for text, said, usual in digests], bool)


def _parse(rows: pa.Table, shape: ColumnShape) -> pa.Table | None:
    """The table's rows; None if a cell is of another kind."""
    fallback = rows.column("fallback")
    try:
        columns = {name: rows.column(name) for name in PLAIN} | {
            "event_time": pc.cast(rows.column("event_time"), TIME),
            "inferred_at": pc.cast(rows.column("inferred_at"), TIME),
            "source": pc.fill_null(rows.column("source"), "api"),
            "action": pc.coalesce(rows.column("action"), pc.if_else(fallback, "fallback", "automated")),
            "reason": pc.coalesce(rows.column("reason"), pc.if_else(fallback, "no_model", "no_policy")),
        }
        for part, texts in (
            (INPUT, rows.column("input")),
            (OUTPUT, rows.column("output")),
            (WATCHED, pc.fill_null(rows.column("watched"), "{}")),
        ):
            columns |= _parsed(texts, part, shape)
        return pa.table(columns).select(shape.schema.names).cast(shape.schema)
    except pa.ArrowInvalid:
        return None


def _parsed(texts: pa.ChunkedArray, part: str, shape: ColumnShape) -> dict[str, pa.ChunkedArray]:
    """The columns of a part, of the texts of its objects. Raises ArrowInvalid for a cell of another kind."""
    wanted = shape.parsed(part)
    if part == WATCHED and not wanted:
        return {}
    if part == INPUT:
        return {part + name: cells for name, cells in _of_kinds(texts, shape.cells).items()}
    found = objects(texts, pa.schema([(name.removeprefix(part), kind) for name, kind in wanted]))
    return {name: found.column(name.removeprefix(part)) for name, _ in wanted}


def typed(texts: pa.ChunkedArray, kinds: Mapping[str, Kind]) -> dict[str, pa.ChunkedArray]:
    """The cells of these JSON objects as columns of the kinds; null for a cell of another kind."""
    try:
        return _of_kinds(texts, kinds)
    except pa.ArrowInvalid:
        rows = [json.loads(text) for text in texts.to_pylist()]
        cells = {name: [cell_of(row.get(name), kind) for row in rows] for name, kind in kinds.items()}
        return {name: pa.chunked_array([_array(cells[name], arrow_type(kind))]) for name, kind in kinds.items()}


def _of_kinds(texts: pa.ChunkedArray, kinds: Mapping[str, Kind | None]) -> dict[str, pa.ChunkedArray]:
    # Arrow reads the cells of the other kinds from JSON as they are.
    as_they_are = (*FLOATS, *INTEGERS, "boolean", "string", None)
    types = {name: arrow_type(kind or "string") if kind in as_they_are else pa.string() for name, kind in kinds.items()}
    found = objects(texts, pa.schema(types.items()))
    return {
        name: found.column(name) if kind in as_they_are else _of_texts(found.column(name), kind)
        for name, kind in kinds.items()
    }


def objects(texts: pa.ChunkedArray, schema: pa.Schema | None) -> pa.Table:
    """The cells of the JSON objects that these texts are, with the schema's columns; without one, as they come.

    Raises ArrowInvalid for a cell of another kind, and if a text is no object on one line."""
    lines = texts.combine_chunks()
    ends = pa.array([0, len(lines)], pa.int32())
    body = pc.binary_join(pa.ListArray.from_arrays(ends, lines), "\n")[0].as_buffer()
    if not body.size:
        return (schema or pa.schema([])).empty_table()
    parse = None if schema is None else pj.ParseOptions(
        # A field more, since Arrow counts no rows without one.
        explicit_schema=schema.append(pa.field("", pa.string())), unexpected_field_behavior="ignore"
    )  # fmt: skip
    found = pj.read_json(pa.BufferReader(body), pj.ReadOptions(use_threads=False, block_size=body.size), parse)
    if found.num_rows != len(lines):
        raise pa.ArrowInvalid(f"expected {len(lines)} objects, got {found.num_rows}")
    return found


def _of_texts(column: pa.ChunkedArray, kind: Kind | None) -> pa.ChunkedArray:
    """The cells that are texts in JSON: times and bytes."""
    known = column.combine_chunks().dictionary_encode()
    cells = [cell_of(text, kind) for text in known.dictionary.to_pylist()]
    return pa.chunked_array([pa.array(cells, arrow_type(kind or "string")).take(known.indices)])


def cell_of(cell: Any, kind: Kind | None) -> Any:
    """One cell of JSON as the column's kind; None if it does not fit: to refuse it is the contract's task."""
    if kind is None:
        return None if cell is None else str(cell)
    if kind in FLOATS:
        return cell if type(cell) in (int, float) else None
    try:
        return parse_cell(cell, kind)
    except (ValueError, OverflowError):
        return None


def of_decisions(decisions: Sequence[Decision], shape: ColumnShape) -> pa.Table:
    """The table of decisions that are at hand."""
    rows = [json.loads(one.input) for one in decisions] if shape.cells else []
    columns: dict[str, list[Any]] = {name: [getattr(one, name) for one in decisions] for name in PLAIN}
    columns["key"] = [canonical(one.key) for one in decisions]
    columns["withheld"] = [canonical(vars(one.withheld)) if one.withheld else None for one in decisions]
    columns |= {INPUT + name: [cell_of(row.get(name), kind) for row in rows] for name, kind in shape.cells.items()}
    columns |= {OUTPUT + field.name: [one.output.get(field.name) for one in decisions] for field in shape.answer}
    columns |= {WATCHED + name: [one.watched.get(name) for one in decisions] for name in shape.measures}
    schema = shape.schema
    return pa.table({name: _array(columns[name], schema.field(name).type) for name in schema.names}, schema)


def _array(cells: list[Any], kind: pa.DataType) -> pa.Array:
    """The cells; null where one is of another kind."""
    try:
        return pa.array(cells, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.concat_arrays([_array([cell], kind) for cell in cells]) if len(cells) > 1 else pa.nulls(1, kind)


def newest(table: pa.Table, *, whole: Callable[[pa.Table], pa.Table] = lambda rows: rows) -> pa.Table:
    """Of several decisions with one id the latest, or of two at the same time the greater; in order of time and id.

    `whole` gives the cells that two are compared by, of a table that has not all of them."""
    ids = table.column("id").combine_chunks().dictionary_encode()
    if len(ids.dictionary) < len(ids):
        id_N, at_N = ids.indices.to_numpy(), table.column("inferred_at").cast(pa.int64()).to_numpy()
        # In order of id and time; `rank_N` orders those that have both alike, which are few but for an object that was
        # written twice.
        order_N, rank_N = np.lexsort((at_N, id_N)), np.zeros(len(ids), np.int64)
        is_alike_N = (np.diff(id_N[order_N]) == 0) & (np.diff(at_N[order_N]) == 0)
        if is_alike_N.any():
            alike_n = order_N[np.append(is_alike_N, False) | np.append(False, is_alike_N)]
            texts = [[str(cell) for cell in row.values()] for row in whole(table.take(pa.array(alike_n))).to_pylist()]
            rank_N[alike_n[sorted(range(len(texts)), key=texts.__getitem__)]] = np.arange(len(texts))
            order_N = np.lexsort((rank_N, at_N, id_N))
        table = table.take(pa.array(order_N[np.append(np.diff(id_N[order_N]) > 0, True)]))
    return table.take(pc.sort_indices(table, [("event_time", "ascending"), ("id", "ascending")]))


def as_said(table: pa.Table, answer: Sequence[AnswerField]) -> pa.Table:
    """The decisions with what the model said, where the naive rule answered in its place."""
    is_withheld = pc.is_valid(table.column("withheld")).combine_chunks()
    if not pc.any(is_withheld).as_py():
        return table
    said = [json.loads(text) for text in table.column("withheld").drop_null().to_pylist()]
    columns = {OUTPUT + one.name: [each["output"].get(one.name) for each in said] for one in answer}
    columns |= {"model_version": [each["model_version"] for each in said], "fallback": [False] * len(said)}
    for name, cells in columns.items():
        column = table.column(name).combine_chunks()
        # By places, since Arrow replaces no lists by a mask.
        places_N = np.arange(len(column))
        places_N[is_withheld.to_numpy(zero_copy_only=False)] = len(column) + np.arange(len(said))
        both = pa.concat_arrays([column, _array(cells, column.type)])
        table = table.set_column(table.schema.get_field_index(name), name, both.take(pa.array(places_N)))
    return table
