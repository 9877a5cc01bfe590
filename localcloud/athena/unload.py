"""Writes the rows of UNLOAD as Parquet files into an empty folder, with the keys of the query's caller.

https://docs.aws.amazon.com/athena/latest/ug/unload.html"""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from botocore.exceptions import ClientError

from localcloud.athena.errors import QueryError, denied
from localcloud.athena.kinds import athena_name
from localcloud.athena.statements import Result, Statement

WRITERS = 30
"""The most files of a result. Athena writes as many as it has writers, which nobody can say before."""


def unload(s3: Any, statement: Statement, result: Result, *, query: str, now: datetime) -> list[str]:
    """Write the files and return their URIs; none for a result without rows.

    Raises QueryError if something is in the folder, for a type that no file can have, and if the caller may not write
    there."""
    bucket, _, folder = statement.to.removeprefix("s3://").partition("/")
    folder = f"{folder.rstrip('/')}/"
    rows, uris = result.rows.cast(pa.schema(list(_fields(result.rows.schema)))), []
    file_rows = max(1, -(-rows.num_rows // WRITERS))
    try:
        if s3.list_objects_v2(Bucket=bucket, Prefix=folder, MaxKeys=1)["KeyCount"]:
            raise QueryError(f"HIVE_PATH_ALREADY_EXISTS: Target directory already exists: {statement.to}")
        for number, first in enumerate(range(0, rows.num_rows, file_rows)):
            body = io.BytesIO()
            # Athena writes times in the old form, which has no zone.
            pq.write_table(
                rows.slice(first, file_rows),
                body,
                compression=statement.compression,
                use_deprecated_int96_timestamps=True,
            )
            key = f"{folder}{now:%Y%m%d_%H%M%S}_{number:05d}_{query[:5]}_{uuid.uuid4()}"
            s3.put_object(Bucket=bucket, Key=key, Body=body.getvalue())
            uris.append(f"s3://{bucket}/{key}")
    except ClientError as error:
        raise denied(statement.to, error) from None
    return uris


def _fields(schema: pa.Schema) -> Iterator[pa.Field]:
    """The columns in the types of Hive. Raises QueryError for a type that Hive does not have."""
    for field in schema:
        kind = athena_name(field.type)
        if kind == "timestamp with time zone":
            raise QueryError(f"NOT_SUPPORTED: Unsupported Hive type: timestamp(3) with time zone (column {field.name})")
        # The sum of integers, which has 128 bits in duckdb.
        yield field.with_type(pa.int64()) if kind == "bigint" else field
