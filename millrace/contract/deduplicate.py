"""Keys that came before: which come again, and on which line each stood first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Numbers = npt.NDArray[np.int64]


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
