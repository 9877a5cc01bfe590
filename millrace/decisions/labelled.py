"""The decisions that labels are about, out of any number of them.

All decisions are read a part at a time. Of each part those are kept that may have one of the labels: what they are
joined by and their answers in memory, and their inputs in a file. So memory grows by the labels and by their decisions,
about 200 bytes for each, and by no other decision.

Of an id that came with several rows each row counts that has a label; in `store` only the latest counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from millrace.artefact.batch import ROW
from millrace.contract.schema import PREDICTION_ID, Table
from millrace.decisions.columns import OUTPUT, ColumnShape, newest
from millrace.decisions.outcome_columns import SECOND, Places, decisions_of, key_texts, label_texts, times_of
from millrace.timestamps import EPOCH, MICROSECOND
from millrace.workload.declaration import Prediction

SHAPE = ColumnShape(cells={}, answer=())
"""The columns of decisions that are read, if nobody asks for the answers."""
KEPT, ANSWERED = ("id", "event_time", "inferred_at", "key"), ("fallback", "model_version", "withheld")
"""Those that stay in memory, and those that stay there beside the answers."""
LABEL, PLACE = "label", "place"
"""The columns with the place of a decision's label, and of its input in the file."""
GROUP_ROWS = 20_000
"""Inputs that are written together, and read together."""


class LabelledDecisions:
    """Collects the decisions of some labels. After the last part, `known` or `parts` is called once."""

    def __init__(
        self,
        labels: pa.Table,
        *,
        prediction_spec: Prediction,
        table: Table,
        folder: Path,
        shape: ColumnShape = SHAPE,
        hours: Sequence[float] = (0.0,),
        is_dated: bool = False,
    ) -> None:
        """`table` is the contract's table of the labels. `folder` takes the file. `shape` is that of the parts. A label
        lies so many `hours` ahead of its decision's row. One that `is_dated` is about no decision of another time, even
        if it names it."""
        self._labels, self._spec, self._table = labels, prediction_spec, table
        answers = [name for name, _ in shape.parsed(OUTPUT)]
        self._is_dated = is_dated
        self._shape, self._columns = shape, [*KEPT, *answers, *(ANSWERED if answers else ())]
        times, has_time = times_of(labels, prediction_spec.event_time)
        before = [timedelta(hours=each) // MICROSECOND for each in hours]
        self._seconds = np.unique([(times[has_time] - each) // SECOND for each in before])
        self._texts = {name: pc.unique(cells) for name, cells in label_texts(labels, prediction_spec).items()}
        ids = labels.column(PREDICTION_ID) if PREDICTION_ID in labels.column_names else pa.array([], pa.string())
        self._ids = pc.unique(ids).cast(pa.string()).drop_null()
        self._kept: list[pa.Table] = [self._with_places(shape.schema.empty_table(), 0)]
        self._waiting: list[pa.Table] = []
        self._path = folder / "decisions.parquet"
        self._file = pq.ParquetWriter(self._path, shape.schema, compression="zstd")

    def add(self, part: pa.Table) -> None:
        """Keep those of these decisions that may have one of the labels."""
        self._waiting.append(part.filter(self._may_match(part)))
        if sum(map(len, self._waiting)) >= GROUP_ROWS:
            self._write()

    def in_file(self, rows: pa.Table) -> pa.Array:
        """Which rows of a scored file may have one of the labels: by each cell of the key, or by the number in its id.

        It only narrows the search down, since a file may have many more rows than there are labels."""
        by_key = pa.scalar(True)
        for name in dict.fromkeys([*self._spec.key, self._spec.event_time]):
            cells = pc.cast(self._labels.column(name), rows.schema.field(name).type, safe=False)
            by_key = pc.and_(by_key, pc.is_in(rows[name], value_set=cells))
        numbers = pc.replace_substring_regex(self._ids, "^.*-", "")
        numbers = numbers.filter(pc.match_substring_regex(numbers, "^[0-9]{1,18}$"))
        return pc.or_(by_key, pc.is_in(rows[ROW], value_set=numbers.cast(pa.int64())))

    @property
    def within(self) -> tuple[datetime, datetime] | None:
        """The first and the last time of a decision that one of the labels is about; None if they say none."""
        if not (self._is_dated and len(self._seconds)):
            return None
        first, last = (EPOCH + timedelta(seconds=int(self._seconds[at])) for at in (0, -1))
        return first, last + timedelta(seconds=1) - MICROSECOND

    def known(self) -> pa.Table:
        """The decisions that may have one of the labels, each id once. `place` is the place for `inputs`."""
        self._write()
        self._file.close()
        kept, self._kept = self._kept, []  # not in memory twice
        return newest(pa.concat_tables(kept), whole=self._whole)

    def inputs(self, places: Places) -> Iterator[pa.ChunkedArray]:
        """The inputs of the decisions at these places, which ascend, a part at a time."""
        return (part.column("input") for part in self._read(places, ["input"]))

    def parts(self) -> Iterator[pa.Table]:
        """The `input` and the `key` of each label's decision, a part at a time. `label` is the place of the label."""
        found, start = self._matched(), 0
        for part in self.inputs(found.column(PLACE).to_numpy()):
            yield found.slice(start, len(part)).append_column("input", part)
            start += len(part)

    def _matched(self) -> pa.Table:
        """The decision of each label that has one, in the order of the file."""
        known = self.known()
        place_L = decisions_of(known, self._labels, prediction_spec=self._spec, table=self._table)
        if self._is_dated:
            decided_D = known.column("event_time").cast(pa.int64()).to_numpy() // SECOND
            own_L = times_of(self._labels, self._spec.event_time)[0] // SECOND
            place_L = np.where(own_L == np.append(decided_D, 0)[place_L], place_L, -1)
        label_n = np.flatnonzero(place_L >= 0)
        found = known.select(["key", PLACE]).take(pa.array(place_L[label_n]))
        return found.append_column(LABEL, pa.array(label_n)).sort_by(PLACE)

    def _may_match(self, part: pa.Table) -> pa.Array:
        """Whether one of the labels names the decision, or has each cell of its key; perhaps not all in one label."""
        second = pa.array(part.column("event_time").cast(pa.int64()).to_numpy() // SECOND)
        by_key = pc.is_in(second, value_set=pa.array(self._seconds))
        for name, cells in key_texts(part, self._spec, self._table).items():
            by_key = pc.and_(by_key, pc.is_in(cells, value_set=self._texts[name]))
        return pc.or_(by_key, pc.is_in(part.column("id"), value_set=self._ids))

    def _write(self) -> None:
        """Write what waits as a group of the file."""
        if rows := sum(map(len, self._waiting)):
            part = pa.concat_tables(self._waiting).combine_chunks()
            self._file.write_table(part, row_group_size=rows)
            self._kept.append(self._with_places(part, sum(map(len, self._kept))))
            self._waiting = []

    def _read(self, places: Places, columns: Sequence[str]) -> Iterator[pa.Table]:
        """The rows at these places of the file, which ascend, a part at a time."""
        start = 0
        with pq.ParquetFile(self._path) as file:
            for group in range(file.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                first, last = np.searchsorted(places, [start, end])
                if first < last:
                    yield file.read_row_group(group, columns=columns).take(pa.array(places[first:last] - start))
                start = end

    def _whole(self, rows: pa.Table) -> pa.Table:
        """The same decisions with all columns."""
        places = rows.column(PLACE).to_numpy()
        order = np.argsort(places)
        found = pa.concat_tables(self._read(places[order], self._shape.schema.names))
        return found.take(pa.array(np.argsort(order)))

    def _with_places(self, part: pa.Table, first: int) -> pa.Table:
        return part.select(self._columns).append_column(PLACE, pa.array(np.arange(first, first + len(part))))
