"""The versions of the tables `rows` and `labels`, with who dropped a file or withdrew it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from millrace.console.environment import Environment
from millrace.console.queries.labels import find_journal, find_trainings
from millrace.console.queries.stored import head_object
from millrace.console.queries.versions import audit_of
from millrace.datasets.table_versions import TableVersion, table_versions
from millrace.errors import EnvironmentNotFoundError
from millrace.messages.audit import RowsWithdrawn
from millrace.names import WorkloadNames


def find_table_versions(environment: Environment, names: WorkloadNames) -> dict[str, TableVersion]:
    """The versions of both tables by their names, the newest first."""
    found, trained = list[tuple[int, TableVersion]](), find_trainings(environment, names)
    for table in ("rows", "labels"):
        read = {str(version): pin.rows if table == "rows" else pin.labels for version, pin in trained}
        if journal := find_journal(environment, names, table):
            found += table_versions(journal, table, f"{names.workload}/", read)
    return {one.version: one for _, one in sorted(found, key=lambda each: each[0], reverse=True)}


def require_version(versions: Mapping[str, TableVersion], version: str) -> TableVersion:
    """The version of this name. Raises EnvironmentNotFoundError if there is none."""
    if version not in versions:
        expected = f"VERSION: expected one of `millrace data log`, as {next(iter(versions), 'rows-12')}"
        raise EnvironmentNotFoundError(f"{expected}, got {version!r}")
    return versions[version]


def with_people(
    environment: Environment, names: WorkloadNames, versions: Iterable[TableVersion]
) -> Iterator[dict[str, Any]]:
    """Each version with `by`: who dropped its file or withdrew its rows, "" if nobody knows."""
    s3, records = environment.client("s3"), audit_of(environment, names)
    people = {one.cause: one.details.by for one in records if isinstance(one.details, RowsWithdrawn)}
    for version in versions:
        head = head_object(s3, version.source) if version.source else None
        dropper = head["Metadata"].get("by", "") if head else ""
        yield asdict(version) | {"by": people.get(version.cause, dropper)}
