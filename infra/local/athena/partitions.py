"""Partitions of an external table: the values that its properties project, and which of them a condition leaves.

https://docs.aws.amazon.com/athena/latest/ug/partition-projection-supported-types.html"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from infra.local.athena.errors import QueryError

if TYPE_CHECKING:
    from sqlglot import exp

UNITS = {"DAYS": 1, "WEEKS": 7}


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """An object of the table, with the values of its partition."""

    key: str
    size: int
    partition: Mapping[str, str]


def partition_of(key: str, location: str, parameters: Mapping[str, str], now: datetime) -> dict[str, str] | None:
    """The values in the object's key; None where no projected partition has them, or where it lies elsewhere.

    `location` is the template of a partition's folder, or that of the table, without the bucket."""
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
    try:
        day = datetime.fromisoformat(value).replace(tzinfo=UTC)
    except ValueError:
        return False
    first, last = (_bound(bound, now) for bound in bounds.split(","))
    return first <= day <= last


def _bound(text: str, now: datetime) -> datetime:
    """`1990-01-01` or `NOW+1DAYS`."""
    found = re.fullmatch(r"NOW(?:([+-]\d+)(DAYS|WEEKS))?", text.strip())
    if found is None:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=UTC)
    return now + timedelta(days=int(found[1] or 0) * UNITS.get(found[2] or "DAYS", 1))


def conditions_on(table: exp.Table, names: Sequence[str]) -> list[exp.Expr]:
    """The parts of the WHERE around the table that hold for its partitions alone: columns of others are not in them."""
    from sqlglot import exp

    select = table.find_ancestor(exp.Select)
    where = select.args.get("where") if select else None
    if where is None:
        return []
    parts = where.this.flatten() if isinstance(where.this, exp.And) else [where.this]
    return [part for part in parts if _is_about(part, table, names)]


def _is_about(part: exp.Expr, table: exp.Table, names: Sequence[str]) -> bool:
    from sqlglot import exp

    columns = list(part.find_all(exp.Column))
    own = ("", table.alias_or_name.lower())
    return (
        bool(columns)
        and part.find(exp.Query) is None
        and all(column.name.lower() in names and column.table.lower() in own for column in columns)
    )


def check_injected(conditions: Sequence[exp.Expr], parameters: Mapping[str, str], names: Sequence[str]) -> None:
    """Raises QueryError for a query that does not say which values of an injected partition it reads.

    https://docs.aws.amazon.com/athena/latest/ug/partition-projection-dynamic-id-partitioning.html"""
    from sqlglot import exp

    for name in names:
        equal = [part for part in conditions if isinstance(part, exp.EQ | exp.In) and _names(part) == {name}]
        if parameters.get(f"projection.{name}.type") == "injected" and not equal:
            raise QueryError(
                f"CONSTRAINT_VIOLATION: For the injected projected partition column {name}, the WHERE clause must "
                "contain only static equality conditions, and at least one such condition must be present."
            )


def _names(part: exp.Expr) -> set[str]:
    from sqlglot import exp

    return {column.name.lower() for column in part.find_all(exp.Column)}


def pruned(
    files: Sequence[StoredFile], conditions: Sequence[exp.Expr], names: Sequence[str], database: Any
) -> Iterator[StoredFile]:
    """The files of the partitions for which all of the conditions hold; `database` is a connection of duckdb."""
    from sqlglot import exp

    wanted = set(_partitions(files, names))
    if conditions and wanted:
        rows = ", ".join(f"({', '.join(exp.Literal.string(cell).sql('duckdb') for cell in row)})" for row in wanted)
        plain = [part.copy().transform(_unqualified).sql("duckdb", identify=True) for part in conditions]
        columns = ", ".join(f'"{name}"' for name in names)
        found = database.execute(
            f"SELECT * FROM (VALUES {rows}) AS partitions({columns}) WHERE {' AND '.join(plain)}"  # noqa: S608 # nosec B608 # a query of the caller's, over values that are quoted
        )
        wanted = set(found.fetchall())
    yield from (file for file in files if tuple(file.partition[name] for name in names) in wanted)


def _partitions(files: Sequence[StoredFile], names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    yield from (tuple(file.partition[name] for name in names) for file in files)


def _unqualified(node: exp.Expr) -> exp.Expr:
    from sqlglot import exp

    return exp.column(node.name) if isinstance(node, exp.Column) else node
