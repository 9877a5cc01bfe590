"""A table against its contract: every row is accepted or refused with its reasons, never lost."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.contract.arrow import LINE, parsed_schema
from millrace.contract.deduplicate import Seen, in_order, repeats
from millrace.contract.row import shown
from millrace.contract.rules import Breach, breaches
from millrace.contract.schema import Table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Mask = npt.NDArray[np.bool_]


_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True, kw_only=True)
class Refused:
    """One row that is not accepted."""

    line: int | None
    """Where it stood in the drop, 1-based; None when it was never on a line of its own."""
    reason: str
    """The code of the first rule that it breaks."""
    detail: str
    """Every rule that it breaks: column, what was expected, what came."""
    raw: str
    """The row as JSON, or the text that could not be parsed."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of the rows: `accepted.num_rows + len(refused)` is the number that came in."""

    accepted: pa.Table
    """The contract's columns and `_line`, in the order of the drop."""
    refused: tuple[Refused, ...]


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The keys that a table already holds, for one set of columns."""

    columns: tuple[str, ...]
    values: pa.Array
    """As `key_of` makes them."""


def validate(rows: pa.Table, table: Table, *, held: tuple[Keys, ...] = ()) -> Verdict:
    """The verdict on a whole drop in memory: `rows` are the contract's columns and `_line`.

    A row that breaks a rule on its cells takes no part in the keys: the next row with its key may be
    accepted. Of rows with the same key the first in the drop is accepted; `held` are keys that the table
    has already."""
    verdict = Validator(table, held=held).judge(rows)
    detail = wrong_row_count(verdict.accepted.num_rows, table)
    return refuse_all(verdict, detail) if detail else verdict


class Validator:
    """Judges a drop part after part, so that its size does not matter; it remembers the keys only."""

    def __init__(self, table: Table, *, held: tuple[Keys, ...] = ()) -> None:
        self._table = table
        self._held = {keys.columns: keys.values for keys in held}
        self._seen = {key: Seen() for key in table.keys}

    def judge(self, rows: pa.Table) -> Verdict:
        """The verdict on the next part; what holds for the number of rows, `wrong_row_count` says at the end.

        A text may come as a dictionary: its rules are cheaper then."""
        import numpy as np

        rows = rows.select(parsed_schema(self._table).names).combine_chunks()
        problems: dict[int, list[tuple[str, str]]] = defaultdict(list)
        for breach in breaches(rows, self._table):
            _note(problems, rows, breach)
        good = np.ones(rows.num_rows, dtype=bool)
        good[list(problems)] = False
        for key, seen in self._seen.items():
            for row, detail in duplicates(rows, good, key, self._held.get(key), seen).items():
                problems[row].append(("duplicate_key", detail))
                good[row] = False
        accepted = _decoded(_take(rows, good))
        for key, seen in self._seen.items():
            seen.add(key_of(accepted, key), _flat(accepted.column(LINE)))
        return Verdict(accepted=accepted, refused=_refuse(rows, problems))


def refuse_all(verdict: Verdict, detail: str) -> Verdict:
    """Every accepted row refused with the reason `row_count`."""
    problems = {row: [("row_count", detail)] for row in range(verdict.accepted.num_rows)}
    refused = sorted((*verdict.refused, *_refuse(verdict.accepted, problems)), key=lambda row: row.line or 0)
    return Verdict(accepted=verdict.accepted.slice(0, 0), refused=tuple(refused))


def refuse_known(rows: pa.Table, held: tuple[Keys, ...]) -> Verdict:
    """The verdict on rows that were valid before the table came to hold `held`: only those keys are looked at."""
    import numpy as np

    good = np.ones(rows.num_rows, dtype=bool)
    problems: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for keys in held:
        for row, detail in duplicates(rows, good, keys.columns, keys.values).items():
            problems[row].append(("duplicate_key", detail))
            good[row] = False
    return Verdict(accepted=_take(rows, good), refused=_refuse(rows, problems))


def wrong_row_count(accepted: int, table: Table) -> str:
    """What is wrong with this number of good rows, or ""."""
    most = table.maximum_rows
    if accepted >= table.minimum_rows and (most is None or accepted <= most):
        return ""
    bounds = f"{table.minimum_rows} rows or more" if most is None else f"{table.minimum_rows} to {most} rows"
    return f"rows: expected {bounds}, came {accepted} good rows"


def key_of(rows: pa.Table, columns: tuple[str, ...]) -> pa.Array:
    """One value per row that is equal where the key columns are: the column itself, or their texts joined.

    A text is preceded by its length, so that ("a", "bc") and ("ab", "c") differ. Null where a part is null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = _decoded(rows.select(list(columns)))
    if len(columns) == 1:
        return _flat(rows.column(0))
    parts: list[Any] = []
    for name in columns:
        text = pc.cast(rows.column(name), pa.string())
        parts += [pc.cast(pc.utf8_length(text), pa.string()), text]
    return _flat(pc.binary_join_element_wise(*parts, ":"))


def duplicates(
    rows: pa.Table, good: Mask, key: tuple[str, ...], known: pa.Array | None, seen: Seen | None = None
) -> dict[int, str]:
    """The position of each good row whose key came before, with the place of the first one."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    positions, keys = np.flatnonzero(good), key_of(rows, key)
    if len(positions) < rows.num_rows:
        keys = keys.filter(pa.array(good))
    name = ", ".join(key)
    found: dict[int, str] = {}
    if known is not None and len(known):
        for at in np.flatnonzero(_plain(pc.is_in(keys, value_set=known.drop_null(), skip_nulls=True))).tolist():
            found[at] = f"{name}: expected a new key, came {_show(keys[at])}, which the table holds"
    ordered = in_order(keys)
    for at, line in seen.find(keys, ordered) if seen else ():
        found.setdefault(at, _second(name, keys[at], line))
    for at, first in repeats(keys, ordered):
        if at not in found:
            found[at] = _second(name, keys[at], rows.column(LINE)[int(positions[first])].as_py())
    return {int(positions[at]): detail for at, detail in found.items()}


def _second(name: str, key: pa.Scalar, line: int) -> str:
    return f"{name}: expected a key that comes once, came {_show(key)}, first on line {line}"


def _note(problems: dict[int, list[tuple[str, str]]], rows: pa.Table, breach: Breach) -> None:
    import numpy as np

    at = np.flatnonzero(breach.rows)
    for row, came in zip(at.tolist(), rows.column(breach.column).take(at).to_pylist(), strict=True):
        problems[row].append((breach.reason, f"{breach.column}: expected {breach.expected}, came {shown(came)}"))


def _refuse(rows: pa.Table, problems: Mapping[int, list[tuple[str, str]]]) -> tuple[Refused, ...]:
    if not problems:
        return ()
    order = sorted(problems)
    bad = _decoded(rows.take(order))
    lines = bad.column(LINE).to_pylist()
    return tuple(
        Refused(line=line, reason=problems[at][0][0], detail="; ".join(text for _, text in problems[at]), raw=raw)
        for at, line, raw in zip(order, lines, _raw_rows(bad.drop_columns([LINE])), strict=True)
    )


def _raw_rows(rows: pa.Table) -> Iterator[str]:
    """Each row as `raw_row` writes it; only columns that hold what JSON cannot say are looked at cell by cell."""
    names = rows.column_names
    columns = [
        column.to_pylist() if _is_json(column) else map(_plain_cell, column.to_pylist()) for column in rows.columns
    ]
    return (_JSON.encode(dict(zip(names, cells, strict=True))) for cells in zip(*columns, strict=True))


def _is_json(column: pa.ChunkedArray) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(column.type):
        return math.isfinite(pc.sum(column, min_count=0).as_py())
    return bool(pa.types.is_integer(column.type) or pa.types.is_string(column.type) or pa.types.is_boolean(column.type))


def raw_row(cells: Mapping[str, object]) -> str:
    """The row as one line of JSON; what JSON cannot say (a time, bytes, NaN) as text."""
    return _JSON.encode({name: _plain_cell(cell) for name, cell in cells.items()})


def _plain_cell(cell: object) -> object:
    if isinstance(cell, float) and cell - cell != 0:
        return str(cell)
    if cell is None or isinstance(cell, str | int | float | bool):
        return cell
    return cell.hex() if isinstance(cell, bytes) else str(cell)


def _show(key: pa.Scalar) -> str:
    return shown(key.as_py())


def _decoded(rows: pa.Table) -> pa.Table:
    """The rows with plain texts, whether they came as a dictionary or not."""
    import pyarrow as pa

    for place, kind in enumerate(rows.schema.types):
        if pa.types.is_dictionary(kind):
            rows = rows.set_column(place, rows.field(place).name, rows.column(place).cast(kind.value_type))
    return rows


def _take(rows: pa.Table, good: Mask) -> pa.Table:
    import pyarrow as pa

    return rows if good.all() else rows.filter(pa.array(good))


def _flat(column: Any) -> Any:
    return column.combine_chunks() if hasattr(column, "combine_chunks") else column


def _plain(mask: Any) -> Any:
    return mask.to_numpy(zero_copy_only=False)
