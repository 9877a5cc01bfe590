"""The keys of rows: which rows have a key that the table holds, or that an earlier row of the drop has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

BLOCK = 1 << 16
"""So many keys are put into a table at a time: what is computed of them fits into the processor's cache."""


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The keys that a table already holds, for one set of columns."""

    columns: tuple[str, ...]
    values: pa.Array
    """As `key_of` makes them; with `beside`, as `key_beside` does."""
    beside: tuple[str, ...] = ()
    """Columns that must be equal as well: with another value there the row is a new one, of the same key."""


class Seen:
    """The keys of a drop, part after part, each with a number and the line of the row that was accepted with it.

    A row takes 24 to 34 bytes, 18 where the keys ascend. Of a key that is no number its hash is kept, of 128 bits,
    whatever the key's length: 8 bytes more. Python's hash is keyed anew in each process (SipHash), so that no file can
    be made whose keys have the same one."""

    def __init__(self) -> None:
        import numpy as np

        self._table = _HashTable()
        self._lines = np.empty(0, np.int64)
        """By number; -1 for a key of which no row was accepted."""

    def number(self, keys: pa.Array, good: Mask) -> Numbers:
        """The same number for equal keys of this part and of those before; -1 for null and for rows that are bad."""
        import numpy as np
        import pyarrow as pa

        at = np.flatnonzero(good & _plain(keys.is_valid()) if keys.null_count else good)
        numbers = np.full(len(keys), -1, np.int64)
        if len(at):
            asked = keys if len(at) == len(keys) else keys.take(pa.array(at))
            start, numbers[at] = self._table.size, self._table.add(*_integers(asked))
            self._lines = _grown(self._lines, self._table.size)
            self._lines[start : self._table.size] = -1
        return numbers

    def accept(self, numbers: Numbers, lines: pa.Array) -> None:
        """Keep the lines of rows that are accepted, by the numbers of their keys."""
        import numpy as np

        has_key = np.flatnonzero(numbers >= 0)
        self._lines[numbers.take(has_key)] = lines.to_numpy(zero_copy_only=False).take(has_key)

    def before(self, numbers: Numbers) -> list[tuple[int, int]]:
        """The position of each key of which a row was accepted before, with its line."""
        import numpy as np

        has_key = np.flatnonzero(numbers >= 0)
        lines = self._lines.take(numbers.take(has_key))
        came = np.flatnonzero(lines >= 0)
        return list(zip(has_key[came].tolist(), lines[came].tolist(), strict=True))


class _HashTable:
    """Keys as integers, one or two for each, and the place of the first one of equal keys by its hash.

    Open addressing, for many keys at a time: those whose slot another key has go on to the next slot together. 1M keys
    in no order took 50 ms; to sort those of each part, search for them and merge them took 290."""

    def __init__(self) -> None:
        import secrets

        import numpy as np

        self.size = 0
        self._columns: list[Numbers] = []
        self._highest: int | None = None
        self._slots = np.empty(0, np.int32)
        """Places of keys, -1 for none, of which at most half are taken; their number is a power of two. The 2**31 keys
        that are too many for int32 would take 48 GiB."""
        self._placed = 0
        """So many keys have a slot. Keys that ascend need none, until one comes that does not: each is a new one."""
        # A random factor (multiply-shift, Dietzfelbinger 1997): no file can be made whose keys meet in few slots.
        self._factor = np.uint64(secrets.randbits(64) | 1)

    def add(self, *columns: Numbers) -> Numbers:
        """For each key the place of the first one that equals it, of all that were ever added."""
        import numpy as np

        start, self.size = self.size, self.size + len(columns[0])
        kept = self._columns or [np.empty(0, np.int64) for _ in columns]
        self._columns = [_grown(own, self.size) for own in kept]
        for own, its in zip(self._columns, columns, strict=True):
            own[start : self.size] = its
        if self._ascend(columns[0]):
            return np.arange(start, self.size)
        if len(self._slots) < 2 * self.size:
            self._slots = np.full(1 << (2 * self.size).bit_length(), -1, np.int32)
            self._placed = 0
        for at in range(self._placed, start, BLOCK):
            self._place(at, min(at + BLOCK, start))
        self._placed = self.size
        return np.concatenate([self._place(at, min(at + BLOCK, self.size)) for at in range(start, self.size, BLOCK)])

    def _ascend(self, numbers: Numbers) -> bool:
        """Whether they do, and begin above all that were there."""
        before, highest = self._highest, int(numbers.max())
        self._highest = highest if before is None else max(before, highest)
        return (before is None or int(numbers[0]) > before) and bool((numbers[1:] > numbers[:-1]).all())

    def _place(self, start: int, stop: int) -> Numbers:
        """Give each of these keys a slot, or find that of its first; the places of the first ones."""
        import numpy as np

        keys = [column[start:stop] for column in self._columns]
        shift = np.uint64(65 - len(self._slots).bit_length())
        slots = ((keys[0].view(np.uint64) * self._factor) >> shift).view(np.int64)
        found, left = np.empty(stop - start, np.int64), np.arange(stop - start)
        while left.size:
            # Backwards, as numpy writes in order: of keys that want the same slot the first one gets it.
            free = np.flatnonzero(self._slots.take(slots) < 0)[::-1]
            self._slots[slots.take(free)] = (left.take(free) + start).astype(np.int32)
            found[left] = first = self._slots.take(slots)
            differs = np.zeros(len(left), dtype=bool)
            for own, asked in zip(self._columns, keys, strict=True):
                differs |= own.take(first) != asked.take(left)
            off = np.flatnonzero(differs)
            slots, left = (slots.take(off) + 1) & (len(self._slots) - 1), left.take(off)
        return found


def _grown(numbers: Numbers, size: int) -> Numbers:
    """With room for `size`, and some more: where it lies, so that many rows are never held twice. No view is kept."""
    if size > len(numbers):
        numbers.resize(size + size // 8, refcheck=False)
    return numbers


def _integers(keys: pa.Array) -> list[Numbers]:
    """The keys, none of them null, as integers; of those that are none a hash in two halves."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if (kind := _number_type(keys.type)) is not None:
        return [keys.view(kind).to_numpy(zero_copy_only=False).astype(np.int64, copy=False)]
    if not (pa.types.is_binary(keys.type) or pa.types.is_string(keys.type)):
        keys = pc.cast(keys, pa.string())
    words = keys.cast(pa.binary()).to_numpy(zero_copy_only=False).tolist()
    first = np.fromiter(map(hash, words), np.int64, len(words))
    return [first, np.fromiter((hash(word + b"\0") for word in words), np.int64, len(words))]


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
    seen: Seen,
    numbers: Numbers,
    *,
    is_alone: bool = True,
) -> dict[int, RuleViolation]:
    """What is wrong with each good row whose key is in the table or stands in an earlier row; by position.

    `numbers` are those that `seen` gave to the keys. Where the key is not alone, only rows of earlier parts count here:
    see `repeated`."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = np.where(good, numbers, -1)
    places: dict[int, str] = {}  # where the key was before
    if known is not None and len(known.values):
        compared = key_beside(rows, key, known.beside) if known.beside else key_of(rows, key)
        held = pc.is_in(compared.filter(pa.array(good)), value_set=known.values.drop_null(), skip_nulls=True)
        places = dict.fromkeys(np.flatnonzero(good)[_plain(held)].tolist(), "which the table holds")
    for at, line in seen.before(numbers):
        places.setdefault(at, f"first on line {line}")
    kept = good.copy()
    kept[list(places)] = False  # what is refused keeps no key from others
    found = repeated(rows, kept, {key: numbers}) if is_alone else {}
    return found | {at: _violation(rows, at, key, place) for at, place in places.items()}


def repeated(rows: pa.Table, good: Mask, numbers: Mapping[tuple[str, ...], Numbers]) -> dict[int, RuleViolation]:
    """What is wrong with each good row that has a key of an earlier one; by position. `numbers` are those of each key.

    A row that is refused keeps no key from others. Of `A,x`, `B,x` and `B,z`, both columns keys, the second is refused
    for its x, so the third is the first one with a B."""
    import numpy as np

    found: dict[int, RuleViolation] = {}
    firsts: list[dict[int, int]] = [{} for _ in numbers]
    is_twice = np.logical_or.reduce([_is_twice(np.where(good, each, -1)) for each in numbers.values()])
    for at in np.flatnonzero(is_twice).tolist():
        own = [int(each[at]) for each in numbers.values()]
        before = (
            (key, first[number]) for key, number, first in zip(numbers, own, firsts, strict=True) if number in first
        )
        if clash := next(before, None):
            key, place = clash
            found[at] = _violation(rows, at, key, f"first on line {rows.column(LINE)[place].as_py()}")
            continue
        for number, first in zip(own, firsts, strict=True):
            if number >= 0:
                first[number] = at
    return found


def _is_twice(numbers: Numbers) -> Mask:
    """Whether another row has the same number; never of -1."""
    import numpy as np

    is_twice = np.zeros(len(numbers), dtype=bool)
    counted = np.flatnonzero(numbers >= 0)
    numbers = numbers[counted]
    if bool((numbers[1:] > numbers[:-1]).all()):
        return is_twice
    last = np.empty(int(numbers.max()) + 1, np.int64)
    last[numbers] = counted
    last[numbers[last[numbers] != counted]] = -1
    is_twice[counted] = last[numbers] < 0
    return is_twice


def _violation(rows: pa.Table, at: int, key: tuple[str, ...], where: str) -> RuleViolation:
    got = f"{_said(rows, at, key)}, {where}"
    return RuleViolation(reason=Reason.DUPLICATE_KEY, column=", ".join(key), expected="a new key", got=got)


def _said(rows: pa.Table, at: int, key: tuple[str, ...]) -> str:
    """The key of a row: its value or, of several columns, `machine='A', at=2020-01-01 00:00:00`."""
    cells = {name: truncate(rows.column(name)[at].as_py()) for name in key}
    return ", ".join(cells.values() if len(key) == 1 else (f"{name}={cell}" for name, cell in cells.items()))


def _number_type(kind: pa.DataType) -> Any:
    """The integer type of the same width where keys of this type are numbers; None where they are not.

    Keys of floating point are finite and have one zero: equal ones have equal bits."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind) or pa.types.is_float64(kind):
        return pa.int64()
    if pa.types.is_date32(kind) or pa.types.is_float32(kind):
        return pa.int32()
    return kind if pa.types.is_integer(kind) else None


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
