"""The keys of rows: which rows have a key that the table holds, or that an earlier row of the drop has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.contract.reasons import Reason
from millrace.contract.schema import LINE
from millrace.contract.violation import RuleViolation, truncate

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Numbers = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The keys that a table already holds, for one set of columns."""

    columns: tuple[str, ...]
    values: pa.Array
    """As `key_of` makes them; with `beside`, as `key_beside` does."""
    beside: tuple[str, ...] = ()
    """Columns that must be equal as well: with another value there the row is a new one, of the same key."""


class Seen:
    """The keys that were accepted in the parts of a drop before, with their lines.

    Of a key that is no number its hash is kept, of 128 bits, whatever the key's length: 24 bytes a row. Python's hash
    is keyed anew in each process (SipHash), so that no file can be made whose keys have the same one."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        """Of two that overlap the former is at least twice as long, so a search looks at few."""

    def add(self, keys: pa.Array, lines: pa.Array) -> None:
        """Keys that were not there before, each once; null is no key."""
        import numpy as np

        if keys.null_count:
            lines, keys = lines.filter(keys.is_valid()), keys.drop_null()
        if not len(keys):
            return
        numbers, check = _numbers(keys)
        order = None if bool((numbers[1:] >= numbers[:-1]).all()) else np.argsort(numbers, kind="stable")
        columns = [numbers, lines.to_numpy(zero_copy_only=False).astype(np.int64), *check]
        run = _Run(*(columns if order is None else (column[order] for column in columns)))
        while self._runs and len(self._runs[-1]) < 2 * len(run) and _overlap(self._runs[-1].numbers, run.numbers):
            run = _merged(self._runs.pop(), run)
        self._runs.append(run)

    def find(self, keys: pa.Array) -> list[tuple[int, int]]:
        """The position of each key that came before, with the line of the first one."""
        import numpy as np

        places = np.flatnonzero(keys.is_valid().to_numpy(zero_copy_only=False))
        numbers, check = _numbers(keys.drop_null())
        ordered = bool((numbers[1:] >= numbers[:-1]).all())
        order = None if ordered else np.argsort(numbers)  # a search in order is many times quicker
        wanted = [numbers, *check] if order is None else [column[order] for column in (numbers, *check)]
        lines = np.full(len(numbers), -1, np.int64)
        for run in self._runs:
            if _overlap(run.numbers, wanted[0]):
                at, held = run.find(*wanted)
                lines[held if order is None else order[held]] = run.lines[at]
        found = np.flatnonzero(lines >= 0)
        return list(zip(places[found].tolist(), lines[found].tolist(), strict=True))


class _Run:
    """Sorted keys as numbers; `check` is the second half of a hash, and empty for keys that are numbers."""

    def __init__(self, numbers: Numbers, lines: Numbers, *check: Numbers) -> None:
        self.numbers, self.lines, self.check = numbers, lines, check

    def __len__(self) -> int:
        return len(self.numbers)

    def find(self, wanted: Numbers, *check: Numbers) -> tuple[Numbers, Numbers]:
        """The places here of those of the sorted keys that are here, and their places among these."""
        import numpy as np

        at = np.minimum(np.searchsorted(self.numbers, wanted), len(self) - 1)
        held = np.flatnonzero(self.numbers[at] == wanted)
        at = at[held]
        for own, its in zip(self.check, check, strict=True):
            # Two keys may have the same first half: the next place may have the second.
            while (off := np.flatnonzero(own[at] != its[held])).size:
                follows = off[at[off] + 1 < len(self)]
                follows = follows[self.numbers[at[follows] + 1] == wanted[held[follows]]]
                at[follows] += 1
                left = np.ones(len(at), dtype=bool)
                left[np.setdiff1d(off, follows)] = False
                at, held = at[left], held[left]
        return at, held


def _merged(first: _Run, second: _Run) -> _Run:
    import numpy as np

    places = np.searchsorted(first.numbers, second.numbers) + np.arange(len(second))
    rest = np.ones(len(first) + len(second), dtype=bool)
    rest[places] = False
    columns = []
    for own, its in zip(
        (first.numbers, first.lines, *first.check), (second.numbers, second.lines, *second.check), strict=True
    ):
        column = np.empty(len(rest), np.int64)
        column[places], column[rest] = its, own
        columns.append(column)
    return _Run(*columns)


def _numbers(keys: pa.Array) -> tuple[Numbers, tuple[Numbers, ...]]:
    """The keys, none of them null, as integers; of those that are none a hash in two halves."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if (kind := _number_type(keys.type)) is not None:
        return keys.view(kind).to_numpy(zero_copy_only=False).astype(np.int64, copy=False), ()
    if not (pa.types.is_binary(keys.type) or pa.types.is_string(keys.type)):
        keys = pc.cast(keys, pa.string())
    words = keys.cast(pa.binary()).to_numpy(zero_copy_only=False).tolist()
    first = np.fromiter(map(hash, words), np.int64, len(words))
    second = np.fromiter((hash(word + b"\0") for word in words), np.int64, len(words))
    return first, (second,)


def key_of(rows: pa.Table, columns: tuple[str, ...]) -> pa.Array:
    """One value per row that is equal where the key columns are: the column itself, or their texts joined.

    A text is preceded by its length, so that ("a", "bc") and ("ab", "c") differ. Null where a part is null. With a
    binary column the key is bytes, since not all bytes are text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = decoded(rows.select(list(columns)))
    cells = [_with_one_zero(rows.column(name)) for name in columns]
    if len(cells) == 1:
        return _flat(cells[0])
    kind = pa.binary() if any(pa.types.is_binary(each.type) for each in cells) else pa.string()
    parts: list[Any] = []
    for each in cells:
        text = each if each.type == kind else pc.cast(pc.cast(each, pa.string()), kind)
        parts += [pc.cast(pc.cast(pc.binary_length(text), pa.string()), kind), text]
    return _flat(pc.binary_join_element_wise(*parts, pa.scalar(":", kind)))


def key_beside(rows: pa.Table, columns: tuple[str, ...], beside: tuple[str, ...]) -> pa.Array:
    """`key_of`, of two rows equal only where the cells of `beside` are equal too, nothing included."""
    return key_of(with_marks(rows, beside), (*columns, *beside))


def with_marks(rows: pa.Table, columns: Sequence[str]) -> pa.Table:
    """The rows with each cell of the columns as a text that is never null: empty for nothing, else "=" and the cell."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = decoded(rows)
    for name in columns:
        texts = pc.cast(_with_one_zero(rows.column(name)), pa.string())
        marked = pc.fill_null(pc.binary_join_element_wise("=", texts, ""), "")
        rows = rows.set_column(rows.schema.get_field_index(name), name, marked)
    return rows


def _with_one_zero(cells: Any) -> Any:
    """Numbers without -0.0, which equals 0.0 and neither hashes nor reads like it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.add(cells, pa.scalar(0, cells.type)) if pa.types.is_floating(cells.type) else cells


def duplicates(
    rows: pa.Table,
    good: Mask,
    key: tuple[str, ...],
    known: Keys | None,
    seen: Seen | None = None,
    *,
    is_alone: bool = True,
) -> dict[int, RuleViolation]:
    """What is wrong with each good row whose key is in the table or stands in an earlier row; by position.

    Where the key is not alone, only rows of earlier parts count here: see `repeated`."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    positions, keys = np.flatnonzero(good), key_of(rows, key)
    if len(positions) < rows.num_rows:
        keys = keys.filter(pa.array(good))
    found: dict[int, str] = {}  # by position among the good rows: where the key was before
    if known is not None and len(known.values):
        compared = key_beside(rows, key, known.beside).filter(pa.array(good)) if known.beside else keys
        held = pc.is_in(compared, value_set=known.values.drop_null(), skip_nulls=True)
        for at in np.flatnonzero(_plain(held)).tolist():
            found[at] = "which the table holds"
    ordered = in_order(keys)
    for at, line in seen.find(keys) if seen else ():
        found.setdefault(at, f"first on line {line}")
    for at, first in repeats(keys, ordered) if is_alone else ():
        if at not in found:
            found[at] = f"first on line {rows.column(LINE)[int(positions[first])].as_py()}"
    return {int(positions[at]): _violation(rows, int(positions[at]), key, where) for at, where in found.items()}


def repeated(rows: pa.Table, good: Mask, keys: Sequence[tuple[str, ...]]) -> dict[int, RuleViolation]:
    """What is wrong with each good row that has one of several keys of an earlier row; by position.

    A row that is refused keeps no key from others. Of `A,x`, `B,x` and `B,z`, both columns keys, the second is refused
    for its x, so the third is the first one with a B."""
    import numpy as np

    codes = [_codes(key_of(rows, key)) for key in keys]
    is_twice = np.zeros(rows.num_rows, dtype=bool)
    for code_N in codes:
        counted = good & (code_N >= 0)
        is_twice[counted] |= np.bincount(code_N[counted])[code_N[counted]] > 1
    found: dict[int, RuleViolation] = {}
    firsts: list[dict[int, int]] = [{} for _ in keys]
    for at in np.flatnonzero(is_twice).tolist():
        own = [int(code_N[at]) for code_N in codes]
        before = ((key, first[code]) for key, code, first in zip(keys, own, firsts, strict=True) if code in first)
        if clash := next(before, None):
            key, place = clash
            found[at] = _violation(rows, at, key, f"first on line {rows.column(LINE)[place].as_py()}")
            continue
        for code, first in zip(own, firsts, strict=True):
            if code >= 0:
                first[code] = at
    return found


def _codes(keys: pa.Array) -> Numbers:
    """The same number for equal keys, -1 for none."""
    import numpy as np

    codes: Numbers = keys.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def _violation(rows: pa.Table, at: int, key: tuple[str, ...], where: str) -> RuleViolation:
    got = f"{_said(rows, at, key)}, {where}"
    return RuleViolation(reason=Reason.DUPLICATE_KEY, column=", ".join(key), expected="a new key", got=got)


def _said(rows: pa.Table, at: int, key: tuple[str, ...]) -> str:
    """The key of a row: its value or, of several columns, `machine='A', at=2020-01-01 00:00:00`."""
    cells = {name: truncate(rows.column(name)[at].as_py()) for name in key}
    return ", ".join(cells.values() if len(key) == 1 else (f"{name}={cell}" for name, cell in cells.items()))


def repeats(keys: pa.Array, ordered: Numbers | None) -> list[tuple[int, int]]:
    """Each position whose key stood at an earlier one, with the first position; `ordered` as of `in_order`."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    places = None
    if ordered is not None:
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if not len(twice):
            return []
        value_set = pa.array(twice).cast(_number_type(keys.type)).view(keys.type)
        places = np.flatnonzero(pc.is_in(keys, value_set=value_set).to_numpy(zero_copy_only=False))
        keys = keys.take(pa.array(places))
    first = pc.index_in(keys, value_set=keys, skip_nulls=True).fill_null(-1).to_numpy(zero_copy_only=False)
    at = np.flatnonzero((first >= 0) & (first < np.arange(len(keys))))
    found = zip(at.tolist(), first[at].tolist(), strict=True)
    return [(int(places[i]), int(places[j])) for i, j in found] if places is not None else list(found)


def _number_type(kind: pa.DataType) -> Any:
    """The integer type of the same width where keys of this type are numbers; None where they are not.

    Keys of floating point are finite and have one zero: equal ones have equal bits."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind) or pa.types.is_float64(kind):
        return pa.int64()
    if pa.types.is_date32(kind) or pa.types.is_float32(kind):
        return pa.int32()
    return kind if pa.types.is_integer(kind) else None


def in_order(keys: pa.Array) -> Numbers | None:
    """The keys that are there as sorted integers, None where they are no numbers.

    To sort is many times cheaper than to hash; and where they ascend already they take no memory twice."""
    import numpy as np

    kind = _number_type(keys.type)
    if kind is None:
        return None
    numbers: Numbers = keys.drop_null().view(kind).to_numpy(zero_copy_only=False)
    return numbers if bool((numbers[1:] >= numbers[:-1]).all()) else np.sort(numbers)


def _overlap(run: Numbers, other: Numbers) -> bool:
    return bool(len(run) and len(other) and run[0] <= other[-1] and other[0] <= run[-1])


def decoded(rows: pa.Table) -> pa.Table:
    """The rows with dictionary-encoded texts as plain ones."""
    import pyarrow as pa

    for place, kind in enumerate(rows.schema.types):
        if pa.types.is_dictionary(kind):
            rows = rows.set_column(place, rows.field(place).name, rows.column(place).cast(kind.value_type))
    return rows


def _flat(column: Any) -> Any:
    return column.combine_chunks() if hasattr(column, "combine_chunks") else column


def _plain(mask: Any) -> Any:
    return mask.to_numpy(zero_copy_only=False)
