"""Concurrent commits to one Iceberg table: none is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

WRITERS = 4
COMMITS = 10


@pytest.fixture
def table(client: Callable[[str], Any], fresh: Callable[..., str]) -> tuple[str, str]:
    database = fresh("database")
    client("glue").create_database(DatabaseInput={"Name": database})
    client("glue").create_table(DatabaseName=database, TableInput={"Name": "t", "Parameters": {"rows": "[]"}})
    return database, "t"


def write(glue: Any, table: tuple[str, str], read: dict[str, Any], row: str) -> None:
    """Commit the row to the table as it was read."""
    rows = [*json.loads(read["Parameters"]["rows"]), row]
    change = {"Name": table[1], "Parameters": {"rows": json.dumps(rows)}}
    glue.update_table(DatabaseName=table[0], TableInput=change, VersionId=read["VersionId"])


def append(glue: Any, table: tuple[str, str], row: str) -> None:
    """As pyiceberg commits: read, add, write with the version that was read; again when it was another's turn."""
    while True:
        read = glue.get_table(DatabaseName=table[0], Name=table[1])["Table"]
        try:
            write(glue, table, read, row)
        except glue.exceptions.ConcurrentModificationException:
            continue
        return


def test_no_commit_of_four_writers_is_lost(client: Any, table: Any) -> None:
    glue = client("glue")

    def commit(writer: int) -> None:
        for n in range(COMMITS):
            append(glue, table, f"{writer}-{n}")

    with ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(commit, range(WRITERS)))
    rows = json.loads(glue.get_table(DatabaseName=table[0], Name=table[1])["Table"]["Parameters"]["rows"])
    assert len(rows) == len(set(rows)) == WRITERS * COMMITS


def test_an_old_version_is_refused(client: Any, table: Any) -> None:
    glue = client("glue")
    version = glue.get_table(DatabaseName=table[0], Name=table[1])["Table"]["VersionId"]
    change = {"DatabaseName": table[0], "TableInput": {"Name": table[1]}}
    glue.update_table(**change, VersionId=version)
    with pytest.raises(ClientError, match="ConcurrentModificationException"):
        glue.update_table(**change, VersionId=version)
    glue.update_table(**change)
