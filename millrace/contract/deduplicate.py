"""The keys of rows: finds the rows with a key that the table holds already, or that an earlier row of the drop has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from millrace.contract.reasons import Reason
from millrace.contract.schema import LINE
from millrace.contract.violation import RuleViolation, truncate

Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

HELD = 0
"""Stands for the line of a key that the table holds."""
Repeated = Mapping[int, tuple[tuple[str, ...], int]]
"""By the line of a row whose key came before: the key's columns, and the line of its first row, or HELD."""
BLOCK = 1 << 16
"""The number of keys that go into a hash table at a time: what is computed of them fits into the processor's cache."""


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The keys that a table already holds, for one set of columns."""

    columns: tuple[str, ...]
    values: pa.Array
    """The keys as `key_of` makes them; if there are columns `beside`, as `key_beside` makes them."""
    beside: tuple[str, ...] = ()
    """Further columns that must be equal: a row of a known key with another value there is a new row.

    A label that corrects an earlier one is such a row: it has the same key and another label."""


class SeenKeys:
    """The keys of a drop, part after part. Each key has a number, and the line of the row that was accepted with it.

    A row takes 24 to 34 bytes, or 18 if the keys ascend. A key that is no number is kept as a hash of 128 bits,
    whatever its length; that takes 8 bytes more. Python's hash has a new secret in each process (SipHash), so nobody
    can make a file with keys of the same hash."""

    def __init__(self) -> None:
        self._table = _HashTable()
        self._lines = np.empty(0, np.int64)
        """The line of the accepted row, by the number of its key; -1 for a key without an accepted row."""

    def number(self, keys: pa.Array, good: Mask) -> Numbers:
        """The number of each row's key. Equal keys have equal numbers, in this part and in the parts before.

        -1 for a key that is null and for a row that is not good."""
        at = np.flatnonzero(good & _plain(keys.is_valid()) if keys.null_count else good)
        numbers = np.full(len(keys), -1, np.int64)
        if len(at):
            asked = keys if len(at) == len(keys) else keys.take(pa.array(at))
            start, numbers[at] = self._table.size, self._table.add(*integers(asked))
            self._lines = _grown(self._lines, self._table.size)
            self._lines[start : self._table.size] = -1
        return numbers

    def accept(self, numbers: Numbers, lines: Numbers) -> None:
        """Keep the lines of the accepted rows, by the numbers of their keys; of a key the first line."""
        at = np.flatnonzero(numbers >= 0)
        at = at[self._lines.take(numbers[at]) < 0]
        self._lines[numbers[at]] = lines[at]

    def before(self, numbers: Numbers) -> list[tuple[int, int]]:
        """The position and the earlier line of each key that has an accepted row already."""
        has_key = np.flatnonzero(numbers >= 0)
        lines = self._lines.take(numbers.take(has_key))
        came = np.flatnonzero(lines >= 0)
        return list(zip(has_key[came].tolist(), lines[came].tolist(), strict=True))


class _HashTable:
    """A hash table of keys, one or two integers each, that finds the first of equal keys.

    A key's place is its number in the order in which keys were added. The table uses open addressing for many keys at
    a time: all keys that find their slot taken by another key go on to the next slot together. 1M keys in random order
    took 50 ms. To sort the keys of each part, search for them and merge them took 290 ms."""

    def __init__(self) -> None:
        import secrets

        self.size = 0
        self._columns: list[Numbers] = []
        self._highest: int | None = None
        self._slots = np.empty(0, np.int32)
        """The place of the key in each slot, -1 for an empty slot. At most half of the slots are taken; the number of
        slots is a power of two. int32 is enough: 2**31 keys would take 48 GiB."""
        self._placed = 0
        """The number of keys that have a slot. As long as keys ascend each is a new one, and none needs a slot."""
        # The factor is random (multiply-shift, Dietzfelbinger 1997), so nobody can make a file whose keys meet in few
        # slots.
        self._factor = np.uint64(secrets.randbits(64) | 1)

    def add(self, *columns: Numbers) -> Numbers:
        """The place of the first equal key, for each of these keys; all keys that were ever added count."""
        start, self.size = self.size, self.size + len(columns[0])
        kept = self._columns or [np.empty(0, np.int64) for _ in columns]
        self._columns = [_grown(own, self.size) for own in kept]
        for own, its in zip(self._columns, columns, strict=True):
            own[start : self.size] = its
        if self._ascend(columns[0]):
            return np.arange(start, self.size)
        # A larger table of slots starts empty: all earlier keys are placed again, then the new ones.
        if len(self._slots) < 2 * self.size:
            self._slots = np.full(1 << (2 * self.size).bit_length(), -1, np.int32)
            self._placed = 0
        for at in range(self._placed, start, BLOCK):
            self._place(at, min(at + BLOCK, start))
        self._placed = self.size
        return np.concatenate([self._place(at, min(at + BLOCK, self.size)) for at in range(start, self.size, BLOCK)])

    def _ascend(self, numbers: Numbers) -> bool:
        """Whether the numbers ascend strictly and begin above all earlier ones; the highest number is kept."""
        before, highest = self._highest, int(numbers.max())
        self._highest = highest if before is None else max(before, highest)
        return (before is None or int(numbers[0]) > before) and bool((numbers[1:] > numbers[:-1]).all())

    def _place(self, start: int, stop: int) -> Numbers:
        """The places of the first equal keys, for the keys from `start` to `stop`; each new key gets a slot."""
        keys = [column[start:stop] for column in self._columns]
        # Multiply-shift: the top k bits of the product are the slot, of 2**k slots.
        shift = np.uint64(65 - len(self._slots).bit_length())
        slots = ((keys[0].view(np.uint64) * self._factor) >> shift).view(np.int64)
        # `left` are the keys that have no slot yet, `slots` the slot that each of them tries in this round.
        found, left = np.empty(stop - start, np.int64), np.arange(stop - start)
        while left.size:
            # Backwards, since numpy writes in order: of several keys that want an empty slot the first one gets it.
            free = np.flatnonzero(self._slots.take(slots) < 0)[::-1]
            self._slots[slots.take(free)] = (left.take(free) + start).astype(np.int32)
            found[left] = first = self._slots.take(slots)
            # If the slot now holds another key, the next one is tried; behind the last slot comes the first.
            differs = np.zeros(len(left), dtype=bool)
            for own, asked in zip(self._columns, keys, strict=True):
                differs |= own.take(first) != asked.take(left)
            off = np.flatnonzero(differs)
            slots, left = (slots.take(off) + 1) & (len(self._slots) - 1), left.take(off)
        return found


def _grown(numbers: Numbers, size: int) -> Numbers:
    """The array with room for `size` numbers and an eighth more.

    It grows in place, so many rows are never in memory twice."""
    if size > len(numbers):
        # Nobody keeps a view of the array, so numpy need not look for references to it.
        numbers.resize(size + size // 8, refcheck=False)
    return numbers


def integers(keys: pa.Array, secret: bytes = b"") -> list[Numbers]:
    """The keys as one column of integers; keys that are no numbers as two, the halves of a hash. No key is null.

    With a secret their hashes are equal in all processes that have it; else they are this one's own, and faster."""
    if (kind := _number_type(keys.type)) is not None:
        return [keys.view(kind).to_numpy(zero_copy_only=False).astype(np.int64, copy=False)]
    if not (pa.types.is_binary(keys.type) or pa.types.is_string(keys.type)):
        keys = pc.cast(keys, pa.string())
    words = keys.cast(pa.binary()).to_numpy(zero_copy_only=False).tolist()
    if secret:
        halves = b"".join(blake2b(word, key=secret, digest_size=16).digest() for word in words)
        return [*np.frombuffer(halves, np.int64).reshape(-1, 2).T]
    first = np.fromiter(map(hash, words), np.int64, len(words))
    return [first, np.fromiter((hash(word + b"\0") for word in words), np.int64, len(words))]


def key_of(rows: pa.Table, columns: tuple[str, ...]) -> pa.Array:
    """One value per row; the values of two rows are equal if their key columns are.

    For one column it is the column itself, for several their texts joined. A text is preceded by its length, so that
    ("a", "bc") and ("ab", "c") differ: `1:a:2:bc` and `2:ab:1:c`. It is null if one of the columns is null. With a
    binary column it is bytes, since not all bytes are text."""
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
    """The key and the cells of `beside` as one value per row; two missing cells of `beside` are equal."""
    return key_of(with_marks(rows, beside), (*columns, *beside))


def with_marks(rows: pa.Table, columns: Sequence[str]) -> pa.Table:
    """The rows, with each cell of `columns` as a text that is never null: 5 becomes "=5", a missing cell ""."""
    rows = decoded(rows)
    for name in columns:
        texts = pc.cast(_with_one_zero(rows.column(name)), pa.string())
        marked = pc.fill_null(pc.binary_join_element_wise("=", texts, ""), "")
        rows = rows.set_column(rows.schema.get_field_index(name), name, marked)
    return rows


def _with_one_zero(cells: Any) -> Any:
    """The numbers with 0.0 in place of -0.0, which is equal but has another hash and another text."""
    return pc.add(cells, pa.scalar(0, cells.type)) if pa.types.is_floating(cells.type) else cells


def duplicates(
    rows: pa.Table,
    good: Mask,
    key: tuple[str, ...],
    known: Keys | None,
    seen: SeenKeys,
    numbers: Numbers,
) -> dict[int, RuleViolation]:
    """The violation of each good row whose key the table or a row of an earlier part has, by the position of the row.

    `numbers` are the numbers that `seen` gave to the keys."""
    numbers = np.where(good, numbers, -1)
    places: dict[int, int] = {}  # the line of the key's first row, by position
    if known is not None and len(known.values):
        compared = key_beside(rows, key, known.beside) if known.beside else key_of(rows, key)
        held = pc.is_in(compared.filter(pa.array(good)), value_set=known.values.drop_null(), skip_nulls=True)
        places = dict.fromkeys(np.flatnonzero(good)[_plain(held)].tolist(), HELD)
    for at, line in seen.before(numbers):
        places.setdefault(at, line)
    return {at: repeats(rows, at, key, line) for at, line in places.items()}


def repeated(rows: pa.Table, good: Mask, numbers: Mapping[tuple[str, ...], Numbers]) -> dict[int, RuleViolation]:
    """The violation of each good row that has a key of an earlier row of this part, by the position of the row.

    `numbers` are the numbers of the rows' keys, by key. A refused row does not use up its keys. Of `A,x`, `B,x` and
    `B,z`, with a key on each column, the second row is refused for its x, so the third is the first with a B."""
    found: dict[int, RuleViolation] = {}
    firsts: list[dict[int, int]] = [{} for _ in numbers]
    # Only rows that share a key with another row are walked through, in order: there are few of them.
    is_twice = np.logical_or.reduce([_is_twice(np.where(good, each, -1)) for each in numbers.values()])
    for at in np.flatnonzero(is_twice).tolist():
        own = [int(each[at]) for each in numbers.values()]
        before = (
            (key, first[number]) for key, number, first in zip(numbers, own, firsts, strict=True) if number in first
        )
        if clash := next(before, None):
            key, place = clash
            found[at] = repeats(rows, at, key, rows.column(LINE)[place].as_py())
            continue
        for number, first in zip(own, firsts, strict=True):
            if number >= 0:
                first[number] = at
    return found


def _is_twice(numbers: Numbers) -> Mask:
    """Whether another row has the same number, for each row; False for the number -1."""
    is_twice = np.zeros(len(numbers), dtype=bool)
    counted = np.flatnonzero(numbers >= 0)
    numbers = numbers[counted]
    if bool((numbers[1:] > numbers[:-1]).all()):
        return is_twice
    # Each number keeps the position of its last row. A row that is not the last one of its number marks it by -1.
    last = np.empty(int(numbers.max()) + 1, np.int64)
    last[numbers] = counted
    last[numbers[last[numbers] != counted]] = -1
    is_twice[counted] = last[numbers] < 0
    return is_twice


def repeats(rows: pa.Table, at: int, key: tuple[str, ...], line: int) -> RuleViolation:
    """The violation of the row at a position whose key came first on the `line`; HELD: the table holds it."""
    got = f"{_said(rows, at, key)}, {f'first on line {line}' if line != HELD else 'which the table holds'}"
    return RuleViolation(reason=Reason.DUPLICATE_KEY, column=", ".join(key), expected="a new key", got=got)


def _said(rows: pa.Table, at: int, key: tuple[str, ...]) -> str:
    """The key of a row for a message: its value or, for several columns, `machine='A', at=2020-01-01 00:00:00`."""
    cells = {name: truncate(rows.column(name)[at].as_py()) for name in key}
    return ", ".join(cells.values() if len(key) == 1 else (f"{name}={cell}" for name, cell in cells.items()))


def _number_type(kind: pa.DataType) -> Any:
    """The integer type of the same width, if keys of this type are numbers or times; else None.

    Keys of floating point are finite and have no -0.0, so equal keys have equal bits."""
    if pa.types.is_timestamp(kind) or pa.types.is_float64(kind):
        return pa.int64()
    if pa.types.is_date32(kind) or pa.types.is_float32(kind):
        return pa.int32()
    return kind if pa.types.is_integer(kind) else None


def decoded(rows: pa.Table) -> pa.Table:
    """The rows, with dictionary-encoded texts as plain texts."""
    for place, kind in enumerate(rows.schema.types):
        if pa.types.is_dictionary(kind):
            rows = rows.set_column(place, rows.field(place).name, rows.column(place).cast(kind.value_type))
    return rows


def _flat(column: Any) -> Any:
    return column.combine_chunks() if hasattr(column, "combine_chunks") else column


def _plain(mask: Any) -> Any:
    return mask.to_numpy(zero_copy_only=False)
