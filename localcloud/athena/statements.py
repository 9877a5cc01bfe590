"""Runs one statement of Athena's dialect: sqlglot translates it, duckdb runs it over the tables that it names.

`SELECT kind, 7 / 2 FROM loads` becomes `SELECT "kind", DIVIDED(7, 2) AS "_col1" FROM "table_0" AS "loads"`."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from localcloud.athena.errors import QueryError, ScanLimitError
from localcloud.athena.kinds import athena_name
from localcloud.athena.tables import PATH, TableReader

DIALECT = "athena"
UNLOAD = re.compile(
    r"unload\s*\((?P<query>.*)\)\s*to\s*'(?P<to>s3://[^']+)'\s*with\s*\((?P<options>[^()]*)\)", re.I | re.S
)
COMPRESSIONS = ("GZIP", "NONE", "SNAPPY", "ZSTD")
"""Of the Parquet files of UNLOAD. GZIP is the default. https://docs.aws.amazon.com/athena/latest/ug/compression-formats.html"""
BEGINNINGS = ("SELECT", "WITH", "VALUES", "UNLOAD")
"""The words that a statement of the local cloud begins with."""
LIMITS: dict[str, str | bool | int | float | list[str]] = {"enable_external_access": "false", "memory_limit": "2GB"}
"""Settings of duckdb. A query reads the tables that it is given, but no file and no address of this machine."""
DIVISION = """CREATE MACRO divided(a, b) AS CASE
    WHEN regexp_matches(typeof(a), '^U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?$')
     AND regexp_matches(typeof(b), '^U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?$') THEN a // b ELSE a / b END"""
"""In Athena the division of two integers drops the remainder (7 / 2 is 3); in duckdb it does not (3.5)."""

ISO_8601 = "CREATE MACRO to_iso8601(a) AS strftime(a, '%Y-%m-%dT%H:%M:%S.%g') || IF(typeof(a) LIKE '% ZONE', 'Z', '')"
"""duckdb has no such function."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """The answer of a statement."""

    rows: pa.Table
    types: tuple[str, ...]
    """Athena's type of each column."""
    scanned: int
    """The bytes that Athena would read and bill."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A statement that can be run."""

    text: str
    tree: exp.Expr
    """The syntax tree of its query."""
    to: str = ""
    """The folder for the rows of UNLOAD; empty for any other statement."""
    compression: str = ""


def parse(text: str) -> Statement:
    """The statement of the text. Raises QueryError if the text is no SQL, or a statement that is not covered.

    Athena, too, refuses such a text when the query is started."""
    plain = text.strip().rstrip(";").strip()
    if found := UNLOAD.fullmatch(plain):
        options = {name.lower(): value for name, value in re.findall(r"(\w+)\s*=\s*'([^']*)'", found["options"])}
        compression = options.pop("compression", COMPRESSIONS[0]).upper()
        if {name: value.upper() for name, value in options.items()} != {"format": "PARQUET"}:
            raise QueryError(f"the local cloud unloads with format and compression, as Parquet only, got {options}")
        if compression not in COMPRESSIONS:
            raise QueryError(f"expected one of {', '.join(COMPRESSIONS)} as compression, got {compression}")
        query = _query(found["query"].strip())
        return Statement(text=plain, tree=query, to=found["to"], compression=compression)
    return Statement(text=plain, tree=_query(plain))


def _query(text: str) -> exp.Expr:
    try:
        trees = [tree for tree in sqlglot.parse(text, dialect=DIALECT) if tree is not None]
    except SqlglotError as error:
        _refuse(text, error)
    if len(trees) != 1:
        raise QueryError(f"Only one sql statement is allowed. Got: {text}")
    if not isinstance(trees[0], exp.Query):
        raise QueryError(f"the local cloud runs SELECT and UNLOAD only, got {text.split()[0].upper()}")
    return trees[0]


def _refuse(text: str, error: Any) -> NoReturn:
    """Raises QueryError in Athena's form, with the place where sqlglot stopped: `line 1:8: mismatched input …`."""
    first = re.match(r"\s*(\w+)", text)
    if first and first[1].upper() not in BEGINNINGS:
        expecting = ", ".join(map(repr, BEGINNINGS))
        raise QueryError(
            f"line 1:{first.start(1) + 1}: mismatched input '{first[1]}'. Expecting: {expecting}"
        ) from None
    found = (error.errors or [{}])[0] if hasattr(error, "errors") else {}
    came = found.get("highlight") or "input"
    # sqlglot has the column where the input ends, Athena where it begins.
    where = f"line {found.get('line', 1)}:{max(found.get('col', 1) - len(came) + 1, 1)}"
    # What sqlglot misses is often a class of its own: `missing for <class 'sqlglot.expressions.core.Mul'>`.
    why = found.get("description") or str(error)
    raise QueryError(f"{where}: mismatched input '{came}'. {'' if '<' in why else why}".removesuffix(". ")) from None


def run(
    statement: Statement,
    schema: str,
    reader: Callable[[Any], TableReader],
    *,
    limit: int | None,
    started: Callable[[Any], object],
) -> Result:
    """Run the statement and return its answer.

    `schema` is the database of tables that are named without one. `started` gets the connection, by which another
    thread may interrupt the query. Raises QueryError if the statement fails, ScanLimitError if it would scan more than
    `limit` bytes."""
    with duckdb.connect(config=LIMITS) as database:
        # Times have UTC as on Athena, whatever the time zone of this machine.
        database.execute("SET TimeZone = 'UTC'")
        for macro in (DIVISION, ISO_8601):
            database.execute(macro)
        started(database)
        return _of_tables(statement, schema, reader(database), database, limit)


def _of_tables(statement: Statement, schema: str, reader: TableReader, database: Any, limit: int | None) -> Result:
    # Each table is read into memory and registered under a name without meaning; the query then names that one.
    tree, scanned = _expanded(statement.tree.copy(), schema, reader), 0
    paths = any(name.name == PATH for name in tree.find_all(exp.Identifier))
    # A list, since each table's node is replaced in the tree while the loop runs.
    for number, node in enumerate(list(_tables(tree))):
        rows, size = reader.read(node, (node.db or schema).lower(), _names(tree), paths=paths)
        scanned += size
        if limit is not None and scanned > limit:
            raise ScanLimitError(f"Bytes scanned limit was exceeded ({scanned:,} of {limit:,} bytes)")
        database.register(f"table_{number}", rows)
        _replace(node, f"table_{number}")
    sql = _named(tree).transform(_divided).transform(_timed, reader.now).sql("duckdb", identify=True)
    try:
        found = database.sql(sql).to_arrow_table()
    except duckdb.InterruptException:
        raise QueryError("Query cancelled") from None
    except duckdb.Error as error:
        raise QueryError(_in_words(error)) from None
    types = tuple(athena_name(field.type) for field in found.schema)
    return Result(rows=found, types=types, scanned=scanned)


def _tables(tree: exp.Expr) -> Iterator[exp.Table]:
    """Yields the tables of the catalogue in the query. A name that WITH declares is no such table."""
    declared = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    for node in tree.find_all(exp.Table):
        if isinstance(node.this, exp.Identifier) and (node.db or node.name.lower() not in declared):
            yield node


def _expanded(tree: exp.Expr, schema: str, reader: TableReader) -> exp.Expr:
    """The query with the SQL of each view in place of its name. The tree itself is changed.

    Athena keeps the SQL in the catalogue as JSON in Base64: `/* Presto View: eyJvcmlnaW5hbFNxbCI6… */`."""
    for node in list(_tables(tree)):
        table = reader.find((node.db or schema).lower(), node.name.lower())
        if table.get("TableType") != "VIRTUAL_VIEW":
            continue
        view = json.loads(base64.b64decode(table["ViewOriginalText"].split()[3]))
        inner = _expanded(_query(view["originalSql"]), view["schema"], reader)
        for each in _tables(inner):
            each.set("db", exp.to_identifier(each.db or view["schema"]))
        alias = node.args.get("alias") or exp.TableAlias(this=exp.to_identifier(node.name))
        node.replace(exp.Subquery(this=inner, alias=alias.copy(), joins=node.args.get("joins")))
    return tree


def _names(tree: exp.Expr) -> frozenset[str] | None:
    """Every name in the query, in lower case: a column with another name is not read. None if `*` names all columns."""
    # The `*` of `count(*)` names no column.
    if any(not isinstance(star.parent, exp.Count) for star in tree.find_all(exp.Star)):
        return None
    return frozenset(name.name.lower() for name in tree.find_all(exp.Identifier))


def _replace(node: exp.Table, name: str) -> None:
    """Name the registered table in place of the catalogue's. The old name stays as its alias, for `loads.kind`."""
    # In `FROM (a JOIN b ON …)` the joins hang on the node of the first table: the new node takes them over.
    alias = node.args.get("alias") or exp.TableAlias(this=exp.to_identifier(node.name))
    joins = node.args.get("joins")
    node.replace(exp.Table(this=exp.to_identifier(name), alias=alias.copy(), joins=joins))


def _named(tree: exp.Expr) -> exp.Expr:
    """Name the columns that have no name as Athena does: `_col1` is the second one.

    The tree itself is changed. In a UNION the first SELECT gives the names."""
    first = tree
    while isinstance(first, exp.SetOperation):
        first = first.this
    if isinstance(first, exp.Select):
        for number, column in enumerate(first.expressions):
            if not isinstance(column, exp.Alias | exp.Column | exp.Dot | exp.Star):
                column.replace(exp.alias_(column.copy(), f"_col{number}"))
    return tree


def _divided(node: exp.Expr) -> exp.Expr:
    """The call of the macro `divided` in place of a division; any other node as it is."""
    return exp.Anonymous(this="divided", expressions=[node.left, node.right]) if isinstance(node, exp.Div) else node


def _timed(node: exp.Expr, now: datetime) -> exp.Expr:
    """The present time by the cloud's clock in place of `current_timestamp`, `now()` and `current_date`."""
    if isinstance(node, exp.CurrentTimestamp):
        return exp.cast(exp.Literal.string(now.isoformat()), "timestamptz")
    return exp.cast(exp.Literal.string(now.date().isoformat()), "date") if isinstance(node, exp.CurrentDate) else node


def _in_words(error: Exception) -> str:
    """duckdb's error with the code that Athena has for it."""
    text = str(error).strip()
    if found := re.search(r'Referenced column "([^"]+)" not found', text):
        column = f"Column '{found[1]}' cannot be resolved or requester is not authorized to access requested resources"
        return f"COLUMN_NOT_FOUND: {column}"
    if found := re.search(r"Function with name (\S+) does not exist", text):
        return f"FUNCTION_NOT_FOUND: Function '{found[1]}' not registered"
    if "Division by zero" in text:
        return "DIVISION_BY_ZERO: Division by zero"
    return f"SYNTAX_ERROR: {text.splitlines()[0]}"
