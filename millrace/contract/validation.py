"""A table against its contract: every row is accepted or refused with its reasons, never lost."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.contract.arrow import LINE, parsed_schema
from millrace.contract.model import Table
from millrace.contract.row import shown
from millrace.contract.rules import Breach, breaches

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Mask = npt.NDArray[np.bool_]


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
        """The verdict on the next part; what holds for the number of rows, `wrong_row_count` says at the end."""
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
        accepted = _take(rows, good)
        for key, seen in self._seen.items():
            seen.add(key_of(accepted, key), accepted.column(LINE))
        return Verdict(accepted=accepted, refused=_refuse(rows, problems))


class Seen:
    """The keys that were accepted in the parts before, with their lines."""

    def __init__(self) -> None:
        self._keys: list[pa.Array] = []
        self._lines: list[pa.Array] = []
        self._ascending = True

    def add(self, keys: pa.Array, lines: pa.ChunkedArray) -> None:
        if not len(keys):
            return
        self._ascending = self._ascending and _ascending(keys) and not self._overlaps(keys)
        self._keys.append(keys)
        self._lines.append(_flat(lines))

    def find(self, keys: pa.Array) -> list[tuple[int, int]]:
        """The position of each key that came before, with the line of the first one."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self._keys or (self._ascending and _ascending(keys) and not self._overlaps(keys)):
            return []
        at = pc.index_in(keys, value_set=pa.concat_arrays(self._keys), skip_nulls=True)
        found = np.flatnonzero(at.is_valid().to_numpy(zero_copy_only=False)).tolist()
        lines = pa.concat_arrays(self._lines).take(at.drop_null()).to_pylist()
        return list(zip(found, lines, strict=True))

    def _overlaps(self, keys: pa.Array) -> bool:
        """Whether ascending `keys` begin before the last one that was seen."""
        return bool(self._keys) and len(keys) > 0 and not keys[0].as_py() > self._keys[-1][-1].as_py()


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

    if len(columns) == 1:
        return _flat(rows.column(columns[0]))
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
    import pyarrow.compute as pc

    positions = np.flatnonzero(good)
    keys = key_of(rows, key).take(positions) if len(positions) < rows.num_rows else key_of(rows, key)
    name = ", ".join(key)
    found: dict[int, str] = {}
    if known is not None and len(known):
        for at in np.flatnonzero(_plain(pc.is_in(keys, value_set=known.drop_null(), skip_nulls=True))).tolist():
            found[at] = f"{name}: expected a new key, came {_show(keys[at])}, which the table holds"
    for at, line in seen.find(keys) if seen else ():
        found.setdefault(at, _second(name, keys[at], line))
    for at, first in _repeats(keys):
        if at not in found:
            found[at] = _second(name, keys[at], rows.column(LINE)[int(positions[first])].as_py())
    return {int(positions[at]): detail for at, detail in found.items()}


def _second(name: str, key: pa.Scalar, line: int) -> str:
    return f"{name}: expected a key that comes once, came {_show(key)}, first on line {line}"


def _repeats(keys: pa.Array) -> list[tuple[int, int]]:
    """Each position whose key stood at an earlier one, with the first position; in order."""
    import numpy as np
    import pyarrow.compute as pc

    if _ascending(keys):
        return []
    first = pc.index_in(keys, value_set=keys, skip_nulls=True).fill_null(-1).to_numpy(zero_copy_only=False)
    at = np.flatnonzero((first >= 0) & (first < np.arange(len(keys))))
    return [(int(i), int(first[i])) for i in at]


def _ascending(keys: pa.Array) -> bool:
    """True when each key is greater than the one before: a drop in time order needs no hash table."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if keys.null_count or not (pa.types.is_integer(keys.type) or pa.types.is_timestamp(keys.type)):
        return False
    return len(keys) < 2 or bool(pc.all(pc.less(keys[:-1], keys[1:])).as_py())


def _note(problems: dict[int, list[tuple[str, str]]], rows: pa.Table, breach: Breach) -> None:
    import numpy as np

    at = np.flatnonzero(breach.rows)
    for row, came in zip(at.tolist(), rows.column(breach.column).take(at).to_pylist(), strict=True):
        problems[row].append((breach.reason, f"{breach.column}: expected {breach.expected}, came {shown(came)}"))


def _refuse(rows: pa.Table, problems: Mapping[int, list[tuple[str, str]]]) -> tuple[Refused, ...]:
    if not problems:
        return ()
    order = sorted(problems)
    bad = rows.take(order)
    lines = bad.column(LINE).to_pylist()
    return tuple(
        Refused(
            line=line,
            reason=problems[at][0][0],
            detail="; ".join(text for _, text in problems[at]),
            raw=raw_row(cells),
        )
        for at, line, cells in zip(order, lines, bad.drop_columns([LINE]).to_pylist(), strict=True)
    )


def raw_row(cells: Mapping[str, object]) -> str:
    """The row as one line of JSON; what JSON cannot say (a time, bytes, NaN) as text."""
    plain = {name: _plain_cell(cell) for name, cell in cells.items()}
    return json.dumps(plain, ensure_ascii=False, allow_nan=False)


def _plain_cell(cell: object) -> object:
    if isinstance(cell, float) and cell - cell != 0:
        return str(cell)
    if cell is None or isinstance(cell, str | int | float | bool):
        return cell
    return cell.hex() if isinstance(cell, bytes) else str(cell)


def _show(key: pa.Scalar) -> str:
    return shown(key.as_py())


def _take(rows: pa.Table, good: Mask) -> pa.Table:
    import pyarrow as pa

    return rows if good.all() else rows.filter(pa.array(good))


def _flat(column: Any) -> Any:
    return column.combine_chunks() if hasattr(column, "combine_chunks") else column


def _plain(mask: Any) -> Any:
    return mask.to_numpy(zero_copy_only=False)
