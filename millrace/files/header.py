"""The names of a file's columns against the contract's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from millrace.contract.reasons import Reason
from millrace.contract.schema import Table
from millrace.contract.violation import truncate
from millrace.errors import DropError


def check_header(names: Sequence[str], table: Table) -> list[str]:
    """The contract's name of each of the file's columns, "" for one that is not read.

    Raises DropError when the file lacks a column, has one that the contract does not know, or has one twice."""
    known = table.name_of
    expected = ", ".join(column.name_in_file for column in table.columns if column.is_expected)
    if optional := ", ".join(column.name_in_file for column in table.columns if not column.is_expected):
        expected += f" and, where they are known, {optional}"
    found = [known.get(name) for name in names]
    if not any(found):
        raise DropError(Reason.FOREIGN, expected=f"the columns {expected}", got=f"the line {truncate(','.join(names))}")
    there = {name for name in found if name}
    missing = [column.name_in_file for column in table.columns if column.is_expected and column.name not in there]
    unknown = [name for name in names if name not in known]
    counts = Counter(found)
    twice = [name for name, meant in zip(names, found, strict=True) if meant and counts[meant] > 1]
    problems = {"missing": missing, "unknown": unknown, "more than once": twice}
    if told := ", ".join(f"{what}: {those}" for what, those in problems.items() if those):
        raise DropError(
            Reason.COLUMNS, expected=f"the columns {expected}, each once", got=f"{', '.join(names)} ({told})"
        )
    return [name or "" for name in found]
