"""The ways in of workload.yaml beside requests and files, and what is known of keys. Without its key there is none."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from millrace.consumers.consumer import KeyArn, Secret
from millrace.consumers.postgres import PostgresTable, check_host
from millrace.consumers.webhook import check_url
from millrace.errors import FieldError
from millrace.workload.section import Section, Stage

AS_OF = ":as_of"
"""In the SQL of a query, the time at which it was due."""


class EndJobs(Section):
    """Callers of the REST API may leave a request, and come back for its result."""


class Stream(Section):
    """Rows come as records of a stream, one in each."""


Name = Annotated[str, Field(pattern=r'^[^"{}]+$')]
"""Of a column, as Athena has it."""


class Join(Section):
    """What another table knew of each row at the row's time: its newest row of the same key that is not later.

    `{table: shop.customers, key: [customer], at: placed_at, since: changed_at, columns: [rating]}`. A row whose key the
    table does not know, or only later, gets empty cells."""

    table: Annotated[str, Field(pattern=r"^([a-z0-9_]+\.)?[a-z0-9_]+$")]
    """A table of the workload, or one of `tables`."""
    key: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Columns of the query's rows and of the table, by which they belong together."""
    at: Name
    """The column of the query's rows with their time, which is the event time of `prediction`."""
    since: Name
    """The column of the table with the time from which its row was known, of the same type as `at`."""
    columns: Annotated[tuple[Name, ...], Field(min_length=1)]
    """The columns that it adds to the query's rows."""

    def clause(self, name: str) -> str:
        """The join to `asked`, the query's rows, under this name. Each row of the table holds until the key's next."""
        held = ", ".join(f'"{column}"' for column in dict.fromkeys((*self.key, self.since, *self.columns)))
        keys = ", ".join(f'"{column}"' for column in self.key)
        order = ", ".join(f'"{column}"' for column in (self.since, *self.columns))
        then = f'lead("{self.since}") OVER (PARTITION BY {keys} ORDER BY {order}) AS "its end"'
        same = " AND ".join(f'asked."{column}" = {name}."{column}"' for column in self.key)
        known = f'{name}."{self.since}" <= asked."{self.at}" AND coalesce(asked."{self.at}" < {name}."its end", true)'
        return f"LEFT JOIN (SELECT {held}, {then} FROM {self.table}) AS {name} ON {same} AND {known}"  # noqa: S608 # nosec B608 # names that the owner declares


class Query(Section):
    """Rows come by a schedule: Athena runs the SQL, and the files of its result are dropped."""

    schedule: str
    """When it runs (UTC), as EventBridge Scheduler writes it: `cron(0 6 * * ? *)`."""
    feed: Literal["training", "labels", "scoring"]
    """What the rows are."""
    sql: Annotated[str, Field(pattern=r"(?i)^\s*(select|with)\b[^;]*$", max_length=100_000)]
    """One SELECT of the contract's columns, without a semicolon. `:as_of` is the time at which it was due."""
    tables: Annotated[
        dict[
            Annotated[str, Field(pattern=r"^[a-z0-9_]+\.[a-z0-9_]+$")],
            Annotated[str, Field(pattern=r"^s3://[a-z0-9.-]+/([^*?]+/)?$")],
        ],
        Field(default_factory=dict),
    ]
    """Tables of others that it reads, each `database.table` with the folder of its files, `s3://lake/orders/`."""
    joins: tuple[Join, ...] = ()
    """What other tables knew of its rows at their time, which its SQL then need not join."""

    @model_validator(mode="after")
    def _may_read_what_it_joins(self) -> Self:
        for join in self.joins:
            if "." in join.table and join.table not in self.tables:
                raise ValueError(f"expected {join.table} of joins in tables, with the folder of its files")
        return self

    @property
    def statement(self) -> str:
        """The SQL of the rows that are dropped. A comment at the end of the declared SQL swallows no bracket."""
        names = {f"join{place}": join for place, join in enumerate(self.joins)}
        added = "".join(f', {name}."{column}"' for name, join in names.items() for column in join.columns)
        clauses = "\n".join(join.clause(name) for name, join in names.items())
        return f"SELECT asked.*{added} FROM ({self.sql}\n) AS asked\n{clauses}" if self.joins else self.sql  # noqa: S608 # nosec B608 # his SQL


EndName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=16)]
Queries = Annotated[dict[EndName, Query], Field(max_length=20)]
"""The queries of a workload by name."""
JsonPath = Annotated[str, Field(pattern=r"^[^.]+(\.[^.]+)*$")]
"""A place in a JSON document: `links.next`."""


class HttpSource(Section):
    """An HTTP API that answers a GET with rows as JSON.

    Example: `http: {url: "https://shop.example.com/orders", secret: shop, rows: data, next: links.next}`"""

    url: str
    """Asked for the first page, over HTTPS. In the stage `local` alone it may be `http://localhost:<port>/…`."""
    secret: Secret | None = None
    """The name of the secret whose text is the value of `header`: `Bearer …`."""
    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] = "authorization"
    rows: JsonPath | None = None
    """Where the answer has the list of rows. None: it is the list."""
    next: JsonPath | None = None
    """Where it has the URL of the next page, on the same host. None: there is one page."""
    since: Annotated[str, Field(pattern=r"^[\w.~\[\]-]+$")] | None = None
    """The parameter that takes the cursor, for rows at or after it. None: the API gives all rows each time."""


class RowSource(Section):
    """Rows come by a schedule from another system: those after the last one seen."""

    schedule: str
    """When it is read (UTC), as EventBridge Scheduler writes it: `rate(1 hour)`."""
    feed: Literal["training", "labels", "scoring"]
    """What the rows are."""
    cursor: Annotated[str, Field(pattern=r"^[A-Za-z_][\w-]*$")]
    """The number or time in each row that only grows: `updated_at`. The contract need not know it."""
    http: HttpSource | None = None
    postgres: PostgresTable | None = None
    """A table or a view: `{host: db.example.com, database: shop, secret: shop-db, table: public.orders}`."""
    stages: tuple[Stage, ...] = ()
    """The stages that read it. Empty: all."""
    key_arn: KeyArn | None = None
    """The customer key of the secret. None: it has no customer key."""

    @property
    def kind(self) -> HttpSource | PostgresTable:
        """The one that is declared."""
        kinds = [kind for kind in (self.http, self.postgres) if kind]
        if len(kinds) != 1:
            raise FieldError(expected="one of http and postgres", came="both" if kinds else "neither")
        return kinds[0]

    @model_validator(mode="after")
    def _can_be_reached(self) -> RowSource:
        kind = self.kind
        if isinstance(kind, HttpSource):
            check_url("http.url", kind.url, self.stages)
        else:
            check_host("postgres.host", kind.host, self.stages)
        return self


Sources = Annotated[dict[EndName, RowSource], Field(max_length=20)]
"""The sources of a workload by name."""


class KnownKeys(Section):
    """The newest rows of each key: `{hours: 48}`. A request need not send the past of its rows."""

    hours: Annotated[float, Field(gt=0, le=24 * 366)]
    """The rows of a key that lie less than so many hours before its newest row; twice the longest history or more."""


class BusinessFigure(Section):
    """A metric that the business sends to CloudWatch, of whose days the bounds hold."""

    namespace: str
    """In the account and region of the stage."""
    name: str
    dimensions: dict[str, str] = Field(default_factory=dict)
    statistic: Literal["Sum", "Average", "Minimum", "Maximum"] = "Sum"
    """Of the values of a day. A day without a value raises no alarm."""
    bounds: Annotated[dict[Literal["above", "below"], float], Field(min_length=1)]
    """`{above: 120}`: the values of a whole day (UTC) that raise the alarm, to six decimals."""

    @property
    def words(self) -> str:
        """`above 120 or below 2`."""
        return " or ".join(f"{side} {at:.15g}" for side, at in self.bounds.items())

    def beyond(self, value: str) -> str:
        """The metric math that is 1 on a day whose `value`, the id of a query, is beyond a bound, else 0."""
        signs = {"above": ">", "below": "<"}
        return f"IF({' OR '.join(f'{value} {signs[side]} {at:.6f}' for side, at in self.bounds.items())}, 1, 0)"
