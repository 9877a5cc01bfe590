"""The versions of the tables `rows` and `labels`, with who dropped a file or withdrew it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from millrace.aws.objects import read_object
from millrace.console.environment import Environment
from millrace.console.queries.labels import find_trainings
from millrace.console.queries.query import run_query
from millrace.console.queries.stored import read_metadata
from millrace.console.queries.versions import audit_of
from millrace.contract.schema import SOURCE
from millrace.datasets.journal import Journal
from millrace.datasets.table_versions import TableVersion, table_versions
from millrace.errors import EnvironmentNotFoundError
from millrace.messages.audit import RowsErased, RowsWithdrawn
from millrace.names import TABLES, WorkloadNames


def find_table_versions(
    environment: Environment, names: WorkloadNames, *, has_learners: bool = True
) -> dict[str, TableVersion]:
    """The versions of both tables by their names, the newest first; with the model versions that learnt from them."""
    found = list[tuple[int, TableVersion]]()
    tables = {table: read_metadata(environment, names, table) for table in TABLES}
    trained = find_trainings(environment, names, tables["rows"]) if has_learners else []
    for table, metadata in tables.items():
        read = {str(version): pin.rows if table == "rows" else pin.labels for version, pin in trained}
        if metadata:
            journal = Journal.of_metadata(metadata, partial(read_object, environment.client("s3")))
            found += table_versions(journal, table, f"{names.workload}/", read)
    return {one.version: one for _, one in sorted(found, key=lambda each: each[0], reverse=True)}


def require_version(versions: Mapping[str, TableVersion], version: str) -> TableVersion:
    """The version of this name. Raises EnvironmentNotFoundError if there is none."""
    if version not in versions:
        expected = f"VERSION: expected one of `millrace data log`, as {next(iter(versions), 'rows-12')}"
        raise EnvironmentNotFoundError(f"{expected}, got {version!r}")
    return versions[version]


def find_sources(environment: Environment, names: WorkloadNames, where: str) -> set[str]:
    """The landing keys of the drops that brought the rows for which this SQL is true. Raises QueryError for no SQL."""
    sql = f'SELECT DISTINCT "{SOURCE}" AS source FROM {names.table("rows")} WHERE {where}'  # noqa: S608 # nosec B608 # by who asks
    return {*run_query(environment, sql).rows.column("source").to_pylist()}


def with_people(
    environment: Environment, names: WorkloadNames, versions: Iterable[TableVersion]
) -> Iterator[dict[str, Any]]:
    """Each version with `by`: who dropped its file, or withdrew or erased its rows, "" if nobody knows."""
    records = audit_of(environment, names)
    people = {one.cause: one.details.by for one in records if isinstance(one.details, RowsErased | RowsWithdrawn)}
    yield from (asdict(version) | {"by": people.get(version.cause, version.by)} for version in versions)
