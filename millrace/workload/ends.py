"""The ways in of workload.yaml beside requests and files, and what is known of keys. Without its key there is none."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from millrace.workload.section import Section

AS_OF = ":as_of"
"""In the SQL of a query, the time at which it was due."""


class EndJobs(Section):
    """Callers of the REST API may leave a request, and come back for its result."""


class Stream(Section):
    """Rows come as records of a stream, one in each."""


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


Queries = Annotated[
    dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=16)], Query], Field(max_length=20)
]
"""The queries of a workload by name."""


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
