"""SQL over the stage's tables, run by Athena through awswrangler."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from millrace.console.environment import Environment
from millrace.errors import QueryError
from millrace.workload.prices import RATES

if TYPE_CHECKING:
    import pyarrow as pa

LEAST_BYTES, BILLED_BYTES = 10_000_000, 1_000_000
"""A query is billed for LEAST_BYTES at least; more is rounded up to a multiple of BILLED_BYTES."""
POLL_S = 0.2
"""Seconds between two looks at a query that runs."""
INJECTED = re.compile(r"CONSTRAINT_VIOLATION: For the injected projected partition column (\w+),")
"""How Athena refuses a query that does not say which part of a partitioned table it reads."""
SERVICES = ("athena", "glue", "s3", "sts")
"""The services that awswrangler calls."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to one statement."""

    rows: pa.Table
    bytes_scanned: int
    """Bytes that Athena read."""
    usd: float
    """The list price for these bytes; requests to S3 and Glue are billed in addition."""
    seconds: float
    """As Athena counts them."""
    query: str
    """The id of the query's execution. Athena keeps it for 45 days."""


@dataclass(frozen=True, kw_only=True)
class KnownTable:
    """One table of the stage."""

    table: str
    description: str
    columns: tuple[str, ...]
    """The columns of the partitions come last."""


def run_query(environment: Environment, sql: str) -> Answer:
    """The answer to one statement in the stage's workgroup and database.

    Raises QueryError in Athena's own words. If Athena does not know a table or a column, the error lists the known
    ones."""
    platform = environment.platform
    with _wrangler(environment) as wrangler:
        session = boto3.Session(region_name=platform.region, **environment.keys)
        try:
            query = wrangler.athena.start_query_execution(
                sql=sql, database=platform.database, workgroup=platform.workgroup, boto3_session=session
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidRequestException":
                raise
            raise QueryError(error.response["Error"]["Message"]) from None
        done = _ended(environment, wrangler, session, query, sql)
        # awswrangler reads results of queries only.
        if (kind := done["StatementType"]) != "DML":
            raise QueryError(f"expected a query, whose rows can be shown, got one of kind {kind}, which Athena ended")
        rows = _arrow(wrangler.athena.get_query_results(query_execution_id=query, boto3_session=session))
    scanned = int(done["Statistics"].get("DataScannedInBytes", 0))
    return Answer(
        rows=rows,
        bytes_scanned=scanned,
        usd=price(scanned),
        seconds=done["Statistics"].get("TotalExecutionTimeInMillis", 0) / 1000,
        query=query,
    )


def price(scanned: int) -> float:
    """The price in US dollars of a query that read so many bytes."""
    return RATES["scanned byte"].usd * max(LEAST_BYTES, math.ceil(scanned / BILLED_BYTES) * BILLED_BYTES)


def find_tables(environment: Environment, *, workload: str = "") -> tuple[KnownTable, ...]:
    """The tables that can be queried, of one workload or of all."""
    listed = environment.listed("glue", "get_tables", "TableList", DatabaseName=environment.platform.database)
    found = sorted(listed, key=lambda table: str(table["Name"]))
    return tuple(
        KnownTable(
            table=table["Name"],
            description=table.get("Description", ""),
            columns=tuple(
                column["Name"] for column in [*table["StorageDescriptor"]["Columns"], *table.get("PartitionKeys", ())]
            ),
        )
        for table in found
        if table["Name"].startswith(f"{workload}_" if workload else "")
    )


def _ended(environment: Environment, wrangler: Any, session: Any, query: str, sql: str) -> dict[str, Any]:
    """The execution when it has ended. If the command is interrupted, the query is stopped: it would go on costing."""
    try:
        done: dict[str, Any] = wrangler.athena.wait_query(
            query_execution_id=query, boto3_session=session, athena_query_wait_polling_delay=POLL_S
        )
    except (wrangler.exceptions.QueryFailed, wrangler.exceptions.QueryCancelled) as error:
        raise QueryError(_with_remedy(environment, str(error), sql)) from None
    except BaseException:
        wrangler.athena.stop_query_execution(query_execution_id=query, boto3_session=session)
        raise
    return done


def _with_remedy(environment: Environment, reason: str, sql: str) -> str:
    """Athena's reason, with advice where there is any."""
    if found := INJECTED.match(reason):
        return f"{reason} Say which it reads: WHERE {found[1]} = '…'"
    if reason.startswith("COLUMN_NOT_FOUND"):
        words = {word.lower() for word in re.findall(r"\w+", sql)}
        of_tables = [table for table in find_tables(environment) if table.table in words]
        return ". ".join([reason, *(f"The columns of {one.table} are: {', '.join(one.columns)}" for one in of_tables)])
    if not reason.startswith("TABLE_NOT_FOUND"):
        return reason
    names = [table.table for table in find_tables(environment)]
    return f"{reason}. The tables of {environment.platform.database} are: {', '.join(names) or 'none yet'}"


def _arrow(frame: Any) -> pa.Table:
    """A pandas frame as an Arrow table."""
    import pyarrow as pa

    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)


@contextmanager
def _wrangler(environment: Environment) -> Iterator[Any]:
    """awswrangler with its settings for this environment. Raises QueryError if it is not installed."""
    try:
        import awswrangler
    except ModuleNotFoundError:
        raise QueryError("expected awswrangler, which is not installed: pip install 'millrace[query]'") from None
    # Under pandas 3, awswrangler and pyarrow use functions that pandas 4 will not have. That is no news for the caller.
    with warnings.catch_warnings(), _at_address_of(environment, awswrangler):
        warnings.simplefilter("ignore", DeprecationWarning)
        yield awswrangler


@contextmanager
def _at_address_of(environment: Environment, awswrangler: Any) -> Iterator[None]:
    """While the block runs, awswrangler calls the local cloud, if the environment is one."""
    if environment.cloud is None:
        yield
        return
    # awswrangler takes the address of an endpoint only by its global settings, so they are reset afterwards.
    for service in SERVICES:
        setattr(awswrangler.config, f"{service}_endpoint_url", environment.cloud.endpoint_url)
    try:
        yield
    finally:
        for service in SERVICES:
            awswrangler.config.reset(f"{service}_endpoint_url")
