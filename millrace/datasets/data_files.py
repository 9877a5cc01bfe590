"""Data files of our own writing: pyiceberg's writer leaves no page checksums, so a flipped bit would read as data."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table as IcebergTable

ROW_GROUP_ROWS = 131_072


def write_data_file(iceberg: IcebergTable, rows: pa.Table) -> DataFile:
    """The Parquet file that holds `rows`, written below the table's location but in no snapshot yet.

    Each page has its checksum, each column its Iceberg field id; sizes and bounds stand in the answer, as the
    manifest needs them. Source: https://iceberg.apache.org/spec/#manifests"""
    import pyarrow.parquet as pq
    from pyiceberg.io.pyarrow import (
        compute_statistics_plan,
        data_file_statistics_from_parquet_metadata,
        parquet_path_to_id_mapping,
        schema_to_pyarrow,
    )
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
    from pyiceberg.typedef import Record

    schema = iceberg.schema()
    output = iceberg.io.new_output(f"{iceberg.location()}/data/{uuid.uuid4()}.parquet")
    with output.create(overwrite=True) as stream:
        typed = rows.select(schema.column_names).cast(schema_to_pyarrow(schema))
        with pq.ParquetWriter(stream, typed.schema, compression="zstd", write_page_checksum=True) as writer:
            writer.write_table(typed, row_group_size=ROW_GROUP_ROWS)
    statistics = data_file_statistics_from_parquet_metadata(
        writer.writer.metadata,
        compute_statistics_plan(schema, iceberg.metadata.properties),
        parquet_path_to_id_mapping(schema),
    )
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=output.location,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        file_size_in_bytes=len(output),
        sort_order_id=None,
        spec_id=iceberg.metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )
