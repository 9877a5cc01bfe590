"""The keys of rows: which rows have a key that the table holds, or that an earlier row of the drop has."""

from __future__ import annotations

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
    """As `key_of` makes them."""


class Seen:
    """The keys that were accepted in the parts of a drop before, with their lines."""

    def __init__(self) -> None:
        self._keys: list[pa.Array] = []
        self._lines: list[pa.Array] = []
        self._runs: list[Numbers] = []
        """The same keys where they are numbers, sorted; of two that overlap the former is at least twice as long."""

    def add(self, keys: pa.Array, lines: pa.Array) -> None:
        if not len(keys):
            return
        self._keys.append(keys)
        self._lines.append(lines)
        if (ordered := in_order(keys)) is not None:
            self._add_run(ordered)

    def find(self, keys: pa.Array, ordered: Numbers | None) -> list[tuple[int, int]]:
        """The position of each key that came before, with the line of the first one; `ordered` as of `in_order`."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        again = self._again(keys, ordered)
        if not len(again):
            return []
        held = [pc.is_in(part, value_set=again, skip_nulls=True) for part in self._keys]
        known = pa.concat_arrays([part.filter(mask) for part, mask in zip(self._keys, held, strict=True)])
        lines = pa.concat_arrays([part.filter(mask) for part, mask in zip(self._lines, held, strict=True)])
        at = pc.index_in(keys, value_set=known, skip_nulls=True)
        found = np.flatnonzero(at.is_valid().to_numpy(zero_copy_only=False)).tolist()
        return list(zip(found, lines.take(at.drop_null()).to_pylist(), strict=True))

    def _again(self, keys: pa.Array, ordered: Numbers | None) -> pa.Array:
        """Those of the keys' values that came before."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if ordered is None:
            # The keys of this part make the table, not the many that were seen: its size does not grow.
            values = keys.drop_null()
            seen = [part.filter(pc.is_in(part, value_set=values, skip_nulls=True)) for part in self._keys]
            return pa.concat_arrays(seen) if seen else values.slice(0, 0)
        common = [_common(run, ordered) for run in self._runs]
        found = np.concatenate(common) if common else ordered[:0]
        return pa.array(found).cast(_number_type(keys.type)).view(keys.type)

    def _add_run(self, run: Numbers) -> None:
        import numpy as np

        while self._runs and len(self._runs[-1]) < 2 * len(run) and _overlap(self._runs[-1], run):
            run = np.concatenate([self._runs.pop(), run])
            run.sort(kind="stable")  # merges what is sorted
        self._runs.append(run)


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


def _with_one_zero(cells: Any) -> Any:
    """Numbers without -0.0, which equals 0.0 and neither hashes nor reads like it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.add(cells, pa.scalar(0, cells.type)) if pa.types.is_floating(cells.type) else cells


def duplicates(
    rows: pa.Table, good: Mask, key: tuple[str, ...], known: pa.Array | None, seen: Seen | None = None
) -> dict[int, RuleViolation]:
    """What is wrong with each good row whose key is in the table or stands in an earlier row; by position."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    positions, keys = np.flatnonzero(good), key_of(rows, key)
    if len(positions) < rows.num_rows:
        keys = keys.filter(pa.array(good))
    found: dict[int, str] = {}  # by position among the good rows: where the key was before
    if known is not None and len(known):
        for at in np.flatnonzero(_plain(pc.is_in(keys, value_set=known.drop_null(), skip_nulls=True))).tolist():
            found[at] = "which the table holds"
    ordered = in_order(keys)
    for at, line in seen.find(keys, ordered) if seen else ():
        found.setdefault(at, f"first on line {line}")
    for at, first in repeats(keys, ordered):
        if at not in found:
            found[at] = f"first on line {rows.column(LINE)[int(positions[first])].as_py()}"
    name = ", ".join(key)
    return {
        int(positions[at]): RuleViolation(
            reason=Reason.DUPLICATE_KEY,
            column=name,
            expected="a new key",
            got=f"{truncate(keys[at].as_py())}, {where}",
        )
        for at, where in found.items()
    }


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
    """The integer type of the same width where keys of this type are numbers; None where they are not."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return pa.int64()
    if pa.types.is_date32(kind):
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


def _common(run: Numbers, wanted: Numbers) -> Numbers:
    """Those of `wanted` that are in `run`; both are sorted."""
    import numpy as np

    if not _overlap(run, wanted):
        return wanted[:0]
    at = np.minimum(np.searchsorted(run, wanted), len(run) - 1)
    common: Numbers = wanted[run[at] == wanted]
    return common


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
