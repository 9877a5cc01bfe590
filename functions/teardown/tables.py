"""The step `tables` of a teardown: removes the Iceberg tables from the catalogue. Their files stay in the lake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from millrace.aws.errors import is_absent
from millrace.names import TABLES, WorkloadNames


def unregister(client: Callable[[str], Any], names: WorkloadNames) -> list[str]:
    """Unregister the tables. Returns those that were registered, each with the URI of its metadata file.

    By this file a table can be registered again."""
    found = []
    for table in TABLES:
        named = {"DatabaseName": names.platform.database, "Name": names.table(table)}
        try:
            # Read the entry before it is deleted: it says where the metadata file is.
            kept = client("glue").get_table(**named)["Table"]
            client("glue").delete_table(**named)
        except ClientError as error:
            if is_absent(error):
                continue
            raise
        found.append(f"table {named['Name']} at {kept.get('Parameters', {}).get('metadata_location')}")
    return found
