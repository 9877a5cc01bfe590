"""`millrace query`: SQL over the tables of a stage."""

from __future__ import annotations

import sys
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.console.cli.options import Build, Json, Stage, text, workload_names
from millrace.console.cli.printing import show_json, show_rows
from millrace.console.words import count

if TYPE_CHECKING:
    from millrace.console.queries.query import Answer

Sql = Annotated[
    str, typer.Argument(default_factory=lambda: "", show_default="the tables there are", help="One statement.")
]

Listed = Annotated[
    str,
    text("Whose tables are listed; SQL names its tables itself.", shown="all", autocompletion=workload_names),
]


def query(
    sql: Sql,
    stage: Stage,
    workload: Listed,
    build: Build,
    as_json: Json,
    csv: Annotated[
        Path | None, typer.Option(help="Write all rows to this .csv file, images and other bytes in base64.")
    ] = None,
    parquet: Annotated[
        Path | None, typer.Option(help="Write all rows to this .parquet file, bytes as they are.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Rows shown at most; 0 for all.")] = 50,
) -> None:
    """Run SQL over the stage's tables by Athena; without SQL, list the tables and their columns.

    Example: millrace query "SELECT reason, count(*) AS refused FROM electricity_quarantine GROUP BY reason". The last
    line says how many rows came, how many bytes Athena read and what that costs. --workload narrows the list."""
    from millrace.console.cli.printing import check_ending
    from millrace.console.environment import find_environment
    from millrace.console.queries.query import find_tables, run_query

    # A wrong ending is refused before Athena reads anything, since a query costs.
    # Each option has a format of its own, so each takes one ending.
    files = [check_ending(path, ending) for path, ending in ((csv, ".csv"), (parquet, ".parquet")) if path]
    environment = find_environment(stage, build)
    if not sql.strip():
        found = [asdict(table) for table in find_tables(environment, workload=workload)]
        show_rows(found, as_json=as_json, nothing="There is no table yet: the first drop makes one.")
        return
    answer = run_query(environment, sql)
    for path in files:
        _write(answer, path)
    if as_json:
        show_json({"rows": [*map(_plain, answer.rows.to_pylist())], **_figures(answer)})
        return
    # Figures and hints go to stderr, so that stdout has the rows alone.
    if not files:
        shown = answer.rows.slice(0, limit or None).to_pylist()
        show_rows(shown, as_json=False, nothing="No row.", has_words=False)
        if left := answer.rows.num_rows - len(shown):
            print(f"\nand {left:,} more: --limit 0, --csv FILE or --parquet FILE gives all", file=sys.stderr)
    print(f"\n{_in_words(answer)}", file=sys.stderr)


def _write(answer: Answer, path: Path) -> None:
    from millrace.console.cli.printing import export

    export(answer.rows.to_pylist(), path, answer.rows.schema)
    print(f"{count(answer.rows.num_rows, 'row')} in {path}", file=sys.stderr)


def _figures(answer: Answer) -> dict[str, Any]:
    return {"bytes_scanned": answer.scanned, "usd": answer.usd, "seconds": answer.seconds, "query": answer.query}


def _in_words(answer: Answer) -> str:
    scanned = f"{answer.scanned / 1e6:,.2f} MB" if answer.scanned >= 10_000 else f"{answer.scanned:,} bytes"
    cost = f"{answer.usd:.5f} USD at list price" if answer.usd else "free of charge"
    return f"{count(answer.rows.num_rows, 'row')}, {scanned} read in {answer.seconds:.1f} s, {cost}"


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """The row with decimals as floats, since JSON knows no decimals."""
    return {name: float(cell) if isinstance(cell, Decimal) else cell for name, cell in row.items()}
