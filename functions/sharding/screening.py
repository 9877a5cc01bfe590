"""A drop against the contract: its good rows, and a reason for every other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from millrace.contract.arrow import parsed_schema
from millrace.contract.schema import Table
from millrace.contract.validate import Refused, validate
from millrace.errors import DropError
from millrace.files.parsed import Limits
from millrace.files.sniff import read_drop

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class Screened:
    """What became of a drop: every row of it is in `accepted` or in `refused`."""

    accepted: pa.Table
    """The contract's columns and `_line`, in the order of the drop."""
    refused: tuple[Refused, ...]
    rejected: str = ""
    """Why the object holds no rows at all; it is then refused whole."""


def rejected(error: DropError, table: Table) -> Screened:
    """A drop that is refused whole."""
    whole = Refused(line=None, reason=error.reason, detail=str(error), raw="")
    return Screened(accepted=parsed_schema(table).empty_table(), refused=(whole,), rejected=error.reason)


def screen(path: Path, table: Table, limits: Limits) -> Screened:
    """The rows of the drop at `path`; memory grows with the drop, whose size the limits bound."""
    import pyarrow as pa

    schema = parsed_schema(table)
    try:
        parts = list(read_drop(path, table, limits))
    except DropError as error:
        return rejected(error, table)
    verdict = validate(pa.concat_tables([part.rows.select(schema.names) for part in parts]), table)
    unparsable = [refused for part in parts for refused in part.unparsable]
    return Screened(accepted=verdict.accepted, refused=(*unparsable, *verdict.refused))
