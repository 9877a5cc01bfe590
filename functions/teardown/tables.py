"""The Iceberg tables: their names go from the catalogue, their files stay in the lake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from millrace.aws.errors import is_absent
from millrace.names import TABLES, WorkloadNames


def unregister(client: Callable[[str], Any], names: WorkloadNames) -> list[str]:
    """The tables that were registered, each with the metadata file by which it can be registered again."""
    found = []
    for table in TABLES:
        named = {"DatabaseName": names.platform.database, "Name": names.table(table)}
        try:
            kept = client("glue").get_table(**named)["Table"]
            client("glue").delete_table(**named)
        except ClientError as error:
            if is_absent(error):
                continue
            raise
        found.append(f"table {named['Name']} at {kept.get('Parameters', {}).get('metadata_location')}")
    return found
