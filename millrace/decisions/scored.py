"""Decisions in a scored file: its delivered Parquet file is their record, and each of its days has a reference to it.

    electricity/predictions/run=<drop id>/part-00000.parquet    the rows and their answers
    electricity/decisions/date=1997-01-01/_<drop id>.json       a ScoredDay: which of the rows are about this day

The reference is written last, so a day with a reference has its file. Its name begins with "_": Athena leaves such
objects out, and reads the lines of the folder alone. The id of a decision is the drop's id, "-" and the row's number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING

from millrace.artefact.batch import LIKENESS, ROW, VERSION
from millrace.contract.kinds import as_finite_json
from millrace.decisions.record import Decision, Withheld, canonical, prefix
from millrace.messages.envelope import Message, Moment
from millrace.names import row_id_of
from millrace.tasks.answer import athena_type
from millrace.timestamps import parse_utc
from millrace.workload.rollout import Phase

if TYPE_CHECKING:
    import pyarrow as pa

    from millrace.tasks.task import AnswerField
    from millrace.workload.policy import Policy

ACTION_COLUMNS = ("action", "reason")
FLOOR_COLUMNS = ("answered_by", "withheld")
"""The columns of a file if the policy has a floor: who answered in place of the model, and what the model said.

`withheld` is JSON: `{"model_version": "3", "output": {"value": 1, …}}`."""
MOST_ROWS = 100_000
"""Of a file with more rows about the wanted days, about so many are read, drawn at random."""
EPOCH = date(1970, 1, 1)


def beside_columns(policy: Policy | None, dates: tuple[AnswerField, ...] = ()) -> dict[str, str]:
    """The columns that a delivered file has beside the rows and their answers, each with its type in Athena.

    They come from the policy, and from `dates` of the prediction."""
    dated = {field.name: athena_type(field) for field in dates}
    if policy is None:
        return dated
    texts = (*ACTION_COLUMNS, *(FLOOR_COLUMNS if policy.floor else ()))
    return dict.fromkeys(texts, "string") | ({LIKENESS: "double"} if policy.unlike_training else {}) | dated


class ScoredDay(Message):
    """The rows of a delivered file that are about one day.

    {"source": "s3://…/electricity/scoring/week.csv?versionId=…", "source_digest": "9f86…", "run": "9c2e…",
     "first_shard": 0, "shards": 1, "rows": 48, "inferred_at": "1997-01-01T08:00:12Z", "phase": "live",
     "key": ["timestamp"], "event_time": "timestamp", "answer": ["value", "probability", "confidence"]}"""

    source: str
    """The URI of the dropped object with its version."""
    source_digest: str
    """SHA-256 of the object's bytes."""
    run: str
    """The execution of `score` that has scored the file."""
    first_shard: int
    """The number of the first shard of the file in the staging of that execution."""
    shards: int
    rows: int
    inferred_at: Moment
    """When the file's last answers were there, by the wall clock. A repeated delivery finds the same time."""
    phase: Phase
    key: tuple[str, ...]
    event_time: str
    answer: tuple[str, ...]
    """The columns with the answer's fields."""
    beside: tuple[str, ...] = ()
    """The `beside_columns`. All columns but these, the answer's, `model_version` and `row_number` hold the row."""


def delivered_key(workload: str, drop_id: str) -> str:
    """The key of the drop's predictions in the lake: `electricity/predictions/run=<drop id>/part-00000.parquet`."""
    return f"{workload}/predictions/run={drop_id}/part-00000.parquet"


def reference_key(workload: str, day: date, drop_id: str) -> str:
    """The key of the ScoredDay of this drop and event date."""
    return f"{prefix(workload, day)}_{drop_id}.json"


def referenced(key: str) -> tuple[date, str] | None:
    """The day and the drop's id that the key of a reference names; None for an object with lines."""
    folder, _, name = key.rpartition("/")
    if not (name.startswith("_") and name.endswith(".json")):
        return None
    return date.fromisoformat(folder.rpartition("date=")[2]), name[1 : -len(".json")]


def rows_by_day(times: pa.Array) -> dict[date, int]:
    """How many rows are about which day (UTC). Rows without a time, or beyond the calendar of Python, have no day."""
    import pyarrow.compute as pc

    counts = ((one["values"], one["counts"]) for one in pc.value_counts(_day_numbers(times)).to_pylist())
    days = range((date.min - EPOCH).days, (date.max - EPOCH).days + 1)
    return {EPOCH + timedelta(days=number): rows for number, rows in counts if number in days}


def read_rows(
    file: str,
    days: Mapping[date, ScoredDay],
    *,
    workload: str,
    drop_id: str,
    most: int = MOST_ROWS,
    wanted: Callable[[pa.Table], pa.Array] | None = None,
) -> Iterator[Decision]:
    """The decisions about these days in the delivered file at the path `file`, without the bytes of long cells.

    `wanted` says which rows of a part are read. Without it about `most` rows are, drawn at random."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    # Drawn, since rows in steps may all be of the same hour. The seed makes it the same rows at every reading.
    drawn = np.random.default_rng(0)
    parquet = pq.ParquetFile(file, page_checksum_verification=True)
    short = short_columns(parquet.schema_arrow)
    numbers = pa.array([(day - EPOCH).days for day in days], pa.int32())
    every = -(-sum(day.rows for day in days.values()) // most)
    for batch in parquet.iter_batches(columns=short):
        part = pa.Table.from_batches([batch])
        about = _day_numbers(part.column(next(iter(days.values())).event_time))
        part = part.filter(pc.is_in(about, value_set=numbers))
        if wanted is not None:
            part = part.filter(wanted(part))
        elif every > 1:
            part = part.filter(pa.array(drawn.random(part.num_rows) * every < 1))
        yield from decisions(part, days, workload=workload, drop_id=drop_id)


def short_columns(schema: pa.Schema) -> list[str]:
    """The columns of a delivered file without the bytes of long cells."""
    import pyarrow as pa

    return [field.name for field in schema if not pa.types.is_binary(field.type)]


def read_row(file: str, number: int) -> pa.Table:
    """The row of the delivered file with this number, with all of its cells; no row if there is none."""
    import pyarrow.parquet as pq

    return pq.read_table(file, filters=[(ROW, "=", number)], page_checksum_verification=True)


def days_of(row: pa.Table) -> set[date]:
    """The days of all times in the row."""
    import pyarrow as pa

    times = [column for column in row.columns if pa.types.is_timestamp(column.type)]
    return {day for column in times for day in rows_by_day(column)}


def decisions(rows: pa.Table, days: Mapping[date, ScoredDay], *, workload: str, drop_id: str) -> Iterator[Decision]:
    """The decision on each row. Each row is about one of the days."""
    # All days of one file have the same columns.
    known = next(iter(days.values()))
    beside = {*known.answer, *known.beside, VERSION, ROW}
    for row in rows.to_pylist():
        cells = {name: as_finite_json(cell) for name, cell in row.items() if name not in beside}
        acted = {name: row[name] for name in known.beside}
        event_time = parse_utc(str(cells[known.event_time]))
        yield Decision(
            id=row_id_of(drop_id, row[ROW]),
            workload=workload,
            event_time=event_time,
            key={name: cells[name] for name in known.key},
            input=canonical(cells),
            output={name: row[name] for name in known.answer},
            model_version=row[VERSION],
            phase=days[event_time.date()].phase,
            fallback=row[VERSION] is None,
            latency_ms=0.0,
            inferred_at=days[event_time.date()].inferred_at,
            source="batch",
            watched={} if (likeness := acted.pop(LIKENESS, None)) is None else {LIKENESS: likeness},
            withheld=Withheld(**json.loads(said)) if (said := acted.pop("withheld", None)) else None,
            **acted,
        )


def _day_numbers(times: pa.Array) -> pa.Array:
    """The days since 1970 (UTC) of dates or timestamps. Times without a zone are UTC."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.cast(pc.cast(times, pa.date32(), safe=False), pa.int32())
