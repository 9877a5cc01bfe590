"""Parquet files. A row is found by its place, and every piece is written as a new file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from millrace.console.files.table_file import TableFile
from millrace.contract.csv_form import CsvForm
from millrace.contract.schema import Table
from millrace.files.pages import check_footer


def _column_names(file: Path, _: CsvForm) -> list[str]:
    import pyarrow.parquet as pq

    check_footer(file)
    return list(pq.read_schema(file).names)


def _write_rows(dropped: Path, table: Table, wanted: Collection[int], path: Path) -> None:
    """Write the wanted rows with the columns that the contract reads.

    Ignored columns are left out: they say nothing, and Arrow may not be able to take rows of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from millrace.files.parquet import unit_of_int96

    check_footer(dropped)
    metadata = pq.read_metadata(dropped)
    read = [name for name in metadata.schema.to_arrow_schema().names if table.name_of.get(name)]
    unit = unit_of_int96(dropped, metadata, read)
    rows = pq.ParquetFile(dropped, coerce_int96_timestamp_unit=unit).read(columns=read)
    for place, field in enumerate(rows.schema):
        if pa.types.is_string_view(field.type):  # Arrow takes no rows of these
            rows = rows.set_column(place, field.name, rows[field.name].cast(pa.large_string()))
        elif pa.types.is_binary_view(field.type):
            rows = rows.set_column(place, field.name, rows[field.name].cast(pa.large_binary()))
    # Lines count from 1, rows of Arrow from 0.
    kept = rows.take(pa.array([line - 1 for line in sorted(wanted)], pa.int64()))
    pq.write_table(kept, path, write_page_checksum=True)


def _write_pieces(source: Path, _: Table, folder: Path, count: int) -> Iterator[Path]:
    import pyarrow.parquet as pq

    rows = pq.read_table(source)
    count = min(count, rows.num_rows)
    # Integer division spreads the rows evenly: the sizes of two pieces differ by one row at most.
    edges = [rows.num_rows * number // count for number in range(count + 1)]
    for number in range(count):
        path = folder / f"{source.stem}-{number + 1:03}.parquet"
        piece = rows.slice(edges[number], edges[number + 1] - edges[number])
        pq.write_table(piece, path, write_page_checksum=True)
        yield path


FORMAT = TableFile(column_names=_column_names, write_rows=_write_rows, write_pieces=_write_pieces)
