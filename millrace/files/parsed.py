"""What the readers of all formats share: a drop's bytes, a parsed part, its limits, the check of its columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from millrace.aws.objects import is_gone
from millrace.contract.reasons import Reason
from millrace.contract.schema import LINE, Column, Table
from millrace.contract.violation import MOST_VIOLATIONS, QuarantinedRow, RuleViolation, key_texts, truncate
from millrace.errors import DropError
from millrace.spelling import did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa


HOW_TO_NAME = (
    "in contract.yaml, `physicalName` says what a column is called in files, `ignoredColumns` what is not read"
)


HINT = 3
"""Characters of a name that are shown where none is the contract's: enough to find the line, too few for a person."""


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """A part of a drop: each of its rows is either in `rows` or in `unparsable`."""

    rows: pa.Table
    """The contract's columns in their types, and `_line`; the rules on cells are not checked yet."""
    unparsable: tuple[QuarantinedRow, ...]

    def behind(self, lines: int) -> Parsed:
        """The same part, with so many more lines before it."""
        import pyarrow.compute as pc

        place = self.rows.column_names.index(LINE)
        moved = pc.add(self.rows.column(LINE), lines)
        return Parsed(
            rows=self.rows.set_column(place, self.rows.schema.field(place), moved),
            unparsable=tuple(replace(row, line=lines + (row.line or 0)) for row in self.unparsable),
        )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of a drop; a larger one is refused whole, with the reason `too_large`."""

    file_bytes: int = 512 * 2**20
    rows: int = 20_000_000
    decoded_bytes: int = 4 * 2**30
    """The unpacked bytes of a Parquet file, by its footer, and again of its cells as they are read."""
    row_groups: int = 10_000
    """The row groups of a Parquet file: each costs half a millisecond, whatever it holds."""
    memory_bytes: int = 1536 * 2**20
    """The memory of the process that unpacks a Parquet file: half of the function's."""
    cpu_s: int = 300
    """The seconds of a processor that it may take."""
    cell_bytes: int = 8 * 2**20
    """The bytes of one binary cell of Parquet; an image has 4 MiB at most."""
    objects: int = 100_000
    """The objects that a manifest names: each is fetched, ten at a time, and the function has a quarter of an hour."""
    line_bytes: int = 2**20
    """The bytes of one record in a text file, and of one text in Parquet."""
    block_bytes: int = 4 * 2**20
    """The bytes of a block of a text file: the file is read block by block, which bounds the memory."""
    batch_rows: int = 65_536
    """The most rows of a part, of any file."""
    batch_cells: int = 2**21
    """The most cells of a part, of any file: each cell may be a reason to refuse its row."""
    batch_bytes: int = 16 * 2**20
    """About the most bytes of a part of a Parquet file."""

    def rows_of(self, table: Table) -> int:
        """The most rows of the table that a part may have."""
        return max(1, min(self.batch_rows, self.batch_cells // max(1, len(table.columns))))


def read_version(s3: Any, uri: str, **asked: str) -> Any:
    """S3's answer to the call of `get_object` for the drop at the URI. Raises DropError `missing` if it is gone."""
    from botocore.exceptions import ClientError

    try:
        return s3.get_object(**asked)
    except ClientError as error:
        if is_gone(error):
            raise DropError(Reason.MISSING, expected=uri, got="nothing: it is gone") from None
        raise


def check_header(names: Sequence[str], table: Table) -> list[str]:
    """The contract's name of each column of the file, "" for a column that is not read.

    Raises DropError `foreign` if no name is the contract's, and `columns` if a column is missing, is not known or comes
    twice."""
    known = table.name_of
    expected = ", ".join(dict.fromkeys(column.name_in_file for column in table.columns if column.is_expected))
    if optional := ", ".join(dict.fromkeys(c.name_in_file for c in table.columns if not c.is_expected)):
        expected = f"{expected} and, where they are known, {optional}" if expected else f"some of {optional}"
    # None stands for a name that is not known, "" for a column that is not read.
    found = [known.get(name) for name in names]
    if not any(found):
        # Such a line may be a row of a file without names, with values of people.
        shown = truncate(", ".join(f"{name[:HINT]}…" if len(name) > HINT else name for name in names))
        raise DropError(Reason.FOREIGN, expected=f"the columns {expected}", got=f"{len(names)} other names, {shown}")
    there = {name for name in found if name}
    there |= {column.name for name in there & table.shared.keys() for column in table.shared[name]}
    absent = [column for column in table.columns if column.name not in there and not column.is_filled]
    missing = [*dict.fromkeys(column.name_in_file for column in absent if column.is_expected)]
    # Beside a name that is not known, a column that may be left out may be missing by its spelling alone.
    left_out = [column.name_in_file for column in absent if not column.is_expected]
    unknown = [name for name in names if name not in known]
    counts = Counter(found)
    twice = [name for name, meant in zip(names, found, strict=True) if meant and counts[meant] > 1]
    problems = {"missing": missing, "unknown": unknown, "more than once": twice}
    if any(problems.values()):
        problems["left out"] = left_out if unknown else []
        told = "; ".join(f"{what}: {', '.join(map(repr, those))}" for what, those in problems.items() if those)
        meant = did_you_mean(unknown, [column.name_in_file for column in absent])
        hint = f"{meant}; {HOW_TO_NAME}" if unknown else ""
        expected = f"each column once ({told}{hint}), of {expected}"
        error = DropError(Reason.COLUMNS, expected=expected, got=", ".join(names))
        error.columns = told
        raise error
    return [name or "" for name in found]


def without_wrong(
    rows: pa.Table,
    wrong: Mapping[int, list[RuleViolation]],
    table: Table,
    *,
    raw: Callable[[int], str],
    unparsable: Iterable[QuarantinedRow] = (),
) -> Parsed:
    """The typed rows without those at the positions `wrong`, which join the `unparsable` ones in the order of the file.

    `raw` is the text of the row at a position. A row's key is empty if one of its cells could not be read."""
    import numpy as np
    import pyarrow as pa

    refused: list[QuarantinedRow] = []
    if wrong:
        order, lines, good = sorted(wrong), rows.column(LINE), np.ones(rows.num_rows, dtype=bool)
        for at, key in zip(order, key_texts(rows.take(pa.array(order, pa.int64())), table), strict=True):
            refused.append(QuarantinedRow(line=lines[at].as_py(), violations=tuple(wrong[at]), key=key, raw=raw(at)))
        good[order] = False
        rows = rows.filter(pa.array(good))
    return Parsed(rows=rows, unparsable=tuple(sorted([*unparsable, *refused], key=lambda row: row.line or 0)))


def note_wrong_type(wrong: dict[int, list[RuleViolation]], at: int, column: Column, value: object) -> None:
    """Add the violation of a cell to those of its row; of a row the first MOST_VIOLATIONS are kept."""
    found = wrong.setdefault(at, [])
    if len(found) < MOST_VIOLATIONS:
        found.append(RuleViolation(reason=Reason.TYPE, column=column.name, expected=column.form, got=truncate(value)))
