"""Data files of our own writing: pyiceberg's writer leaves no page checksums, so a flipped bit would read as data."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table as IcebergTable


class NewDataFile:
    """A Parquet file of a table that is written part by part; it is in no snapshot yet.

    Each page has its checksum, each column its Iceberg field id. It grows on disk, at `path`, so that memory holds one
    part at a time, and is uploaded when it is whole."""

    def __init__(self, iceberg: IcebergTable, path: Path) -> None:
        import pyarrow.parquet as pq
        from pyiceberg.io.pyarrow import schema_to_pyarrow

        self.rows = 0
        self._iceberg, self._path = iceberg, path
        self._schema = schema_to_pyarrow(iceberg.schema())
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", write_page_checksum=True)

    def add(self, rows: pa.Table) -> None:
        """Write a row group; `rows` has the table's columns in any order."""
        if rows.num_rows:
            self._writer.write_table(rows.select(self._schema.names).cast(self._schema))
            self.rows += rows.num_rows

    def store(self) -> DataFile | None:
        """The uploaded file with the sizes and bounds that a manifest needs; None when it holds no rows.

        Source: https://iceberg.apache.org/spec/#manifests"""
        from pyiceberg.io.pyarrow import (
            compute_statistics_plan,
            data_file_statistics_from_parquet_metadata,
            parquet_path_to_id_mapping,
        )
        from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
        from pyiceberg.typedef import Record

        from millrace.datasets.s3_io import upload

        self._writer.close()
        if not self.rows:
            return None
        # Uploaded before the commit: a commit that loses leaves an object that no snapshot names;
        # the other order would name an object that is not there.
        metadata = self._iceberg.metadata
        location = f"{self._iceberg.location()}/data/{uuid.uuid4()}.parquet"
        upload(self._path, location)
        statistics = data_file_statistics_from_parquet_metadata(
            self._writer.writer.metadata,
            compute_statistics_plan(self._iceberg.schema(), metadata.properties),
            parquet_path_to_id_mapping(self._iceberg.schema()),
        )
        return DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=location,
            file_format=FileFormat.PARQUET,
            partition=Record(),
            file_size_in_bytes=self._path.stat().st_size,
            sort_order_id=None,
            spec_id=metadata.default_spec_id,
            equality_ids=None,
            key_metadata=None,
            **statistics.to_serialized_dict(),
        )
