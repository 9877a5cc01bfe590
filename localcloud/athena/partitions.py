"""Partitions of an external table: those that its properties project, and those that a query's conditions leave.

    storage.location.template   s3://bucket/refused/feed=${feed}/date=${date}/
    projection.feed.values      training,labels
    a key of an object          refused/feed=labels/date=1997-05-01/a.parquet
    its partition               {"feed": "labels", "date": "1997-05-01"}

https://docs.aws.amazon.com/athena/latest/ug/partition-projection-supported-types.html"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlglot import exp

from localcloud.athena.errors import QueryError

UNITS = {"DAYS": 1, "WEEKS": 7}
"""The days of each unit in a range such as `NOW-2WEEKS`."""


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """An object of the table, with the values of its partition."""

    key: str
    partition: Mapping[str, str]


def partition_of(key: str, location: str, parameters: Mapping[str, str], now: datetime) -> dict[str, str] | None:
    """The partition of the object with this key; None if the table does not project it, or the object lies elsewhere.

    `location` is the template of the partitions' folders, or the table's folder, without the bucket. Raises
    NotImplementedError for a type of projection that is not covered."""
    # `feed=${feed}/` becomes the pattern `feed=(?P<feed>[^/]+)/`; `re.escape` has put backslashes before $, { and }.
    pattern = re.sub(r"\\\$\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(location))
    found = re.match(pattern, key)
    values = found.groupdict() if found else None
    if values is None or not all(_is_projected(name, value, parameters, now) for name, value in values.items()):
        return None
    return values


def _is_projected(name: str, value: str, parameters: Mapping[str, str], now: datetime) -> bool:
    kind = parameters[f"projection.{name}.type"]
    if kind == "enum":
        return value in parameters[f"projection.{name}.values"].split(",")
    if kind == "date":
        return _is_in_range(value, parameters[f"projection.{name}.range"], now)
    if kind == "injected":
        return True
    raise NotImplementedError(f"athena: partition projection of the type {kind}")


def _is_in_range(value: str, bounds: str, now: datetime) -> bool:
    """Whether the day lies between the bounds, such as `1990-01-01,NOW+1DAYS`."""
    try:
        day = datetime.fromisoformat(value).replace(tzinfo=UTC)
    except ValueError:
        return False
    first, last = (_bound(bound, now) for bound in bounds.split(","))
    return first <= day <= last


def _bound(text: str, now: datetime) -> datetime:
    """The time of one bound: `1990-01-01` or `NOW+1DAYS`."""
    found = re.fullmatch(r"NOW(?:([+-]\d+)(DAYS|WEEKS))?", text.strip())
    if found is None:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=UTC)
    return now + timedelta(days=int(found[1] or 0) * UNITS.get(found[2] or "DAYS", 1))


def conditions_on(table: exp.Table, names: Sequence[str]) -> list[exp.Expr]:
    """The parts of the WHERE around the table that are about its partitions only.

    `names` are the columns of the partitions. With `feed` among them, `WHERE feed = 'labels' AND line > 3` has one such
    part."""
    select = table.find_ancestor(exp.Select)
    where = select.args.get("where") if select else None
    if where is None:
        return []
    # The parts between the ANDs: each must hold, so each may leave out partitions by itself.
    parts = where.this.flatten() if isinstance(where.this, exp.And) else [where.this]
    return [part for part in parts if _is_about(part, table, names)]


def _is_about(part: exp.Expr, table: exp.Table, names: Sequence[str]) -> bool:
    # Every column must be one of the partitions', of this table, and the part must hold no query of its own.
    columns = list(part.find_all(exp.Column))
    own = ("", table.alias_or_name.lower())
    return (
        bool(columns)
        and part.find(exp.Query) is None
        and all(column.name.lower() in names and column.table.lower() in own for column in columns)
    )


def check_injected(conditions: Sequence[exp.Expr], parameters: Mapping[str, str], names: Sequence[str]) -> None:
    """Raises QueryError if the query does not say by `=` or IN which values of an injected partition it reads.

    https://docs.aws.amazon.com/athena/latest/ug/partition-projection-dynamic-id-partitioning.html"""
    for name in names:
        equal = [part for part in conditions if isinstance(part, exp.EQ | exp.In) and _names(part) == {name}]
        if parameters.get(f"projection.{name}.type") == "injected" and not equal:
            raise QueryError(
                f"CONSTRAINT_VIOLATION: For the injected projected partition column {name}, the WHERE clause must "
                "contain only static equality conditions, and at least one such condition must be present."
            )


def _names(part: exp.Expr) -> set[str]:
    return {column.name.lower() for column in part.find_all(exp.Column)}


def pruned(
    files: Sequence[StoredFile], conditions: Sequence[exp.Expr], names: Sequence[str], database: Any
) -> Iterator[StoredFile]:
    """Yields the files of the partitions for which all conditions hold. `database` is a connection of duckdb."""
    # duckdb judges the conditions: the partitions are the rows of a table that the query itself lists.
    cells = [tuple(file.partition[name] for name in names) for file in files]
    wanted = set(cells)
    if conditions and wanted:
        rows = ", ".join(f"({', '.join(exp.Literal.string(cell).sql('duckdb') for cell in row)})" for row in wanted)
        plain = [part.copy().transform(_unqualified).sql("duckdb", identify=True) for part in conditions]
        columns = ", ".join(f'"{name}"' for name in names)
        found = database.execute(
            f"SELECT * FROM (VALUES {rows}) AS partitions({columns}) WHERE {' AND '.join(plain)}"  # noqa: S608 # nosec B608 # a query of the caller's, over values that are quoted
        )
        wanted = set(found.fetchall())
    yield from (file for file, row in zip(files, cells, strict=True) if row in wanted)


def _unqualified(node: exp.Expr) -> exp.Expr:
    """The column without the name of its table: `r.date` becomes `date`."""
    return exp.column(node.name) if isinstance(node, exp.Column) else node
