"""The quarantined rows with their reasons, read from the files in the lake."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from millrace.aws.objects import key_of_version, keys_below
from millrace.console import columns
from millrace.console.environment import Environment
from millrace.console.queries.answers import drops_of
from millrace.console.queries.executions import Execution
from millrace.console.queries.stored import find_object
from millrace.contract.reasons import Reason
from millrace.contract.schema import Feed
from millrace.contract.violation import RuleViolation
from millrace.datasets.quarantine import FIELDS, PARTS, object_key
from millrace.errors import EnvironmentNotFoundError
from millrace.names import WorkloadNames
from millrace.timestamps import parse_utc


@dataclass(frozen=True, kw_only=True)
class Row:
    """One refused row, or one refused file, which has no line."""

    feed: str
    drop: str = columns.column()
    """The key of the dropped object, without its bucket."""
    source: str
    """The URI of the dropped object, with its version."""
    line: int | None = columns.column()
    key: str = columns.column()
    """The row's key as text; empty if it could not be read."""
    reason: str = columns.column()
    column: str | None = columns.column()
    """The column of the first rule that the row breaks; None if that rule is about the whole row or file."""
    expected: str = columns.column()
    got: str = columns.column()
    also: str = columns.column()
    """The further rules that the row breaks, with their columns: `range vicprice, missing transfer`."""
    detail: str
    """Every rule that the row breaks, in words."""
    raw: str
    """The row as it was in the file."""
    run: str
    """The drop's id. For a run by hand it is the name of the execution that refused the row."""
    quarantined_at: datetime
    """UTC."""


def find_rows(
    environment: Environment,
    names: WorkloadNames,
    *,
    drop: str = "",
    reason: str = "",
    runs: Container[str] | None = None,
) -> Iterator[Row]:
    """The refused rows, read one file after another.

    `drop` is a key or the end of a key, `reason` the code of a reason, `runs` are ids of drops (all for None)."""
    bucket, prefix = names.platform.bucket("lake"), f"{names.workload}/quarantine/"
    client = environment.client("s3")
    for key in keys_below(client, bucket, prefix):
        # A quarantine file is named `<drop's id>-<part>.parquet`.
        if runs is not None and key.rpartition("/")[2].rpartition("-")[0] not in runs:
            continue
        feed = key.removeprefix(prefix).partition("/")[0].removeprefix("feed=")
        content = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        yield from (row for row in read_file(content, feed=feed) if _is_wanted(row, drop=drop, reason=reason))


def read_file(content: bytes, *, feed: str) -> Iterator[Row]:
    """The rows of one quarantine file, in the order of their lines."""
    rows = pq.read_table(io.BytesIO(content)).to_pylist()
    for row in sorted(rows, key=lambda row: row["line"] or 0):
        _, *others = row.pop("violations")
        also = ", ".join(f"{one['reason']} {one['column_name'] or ''}".rstrip() for one in others)
        row.setdefault("key", "")  # of a file from before it was kept
        yield Row(feed=feed, drop=key_of_version(row["source"]), column=row.pop("column_name"), also=also, **row)


@dataclass(frozen=True, kw_only=True)
class ReasonCount:
    """How many rows of one drop were refused for one reason."""

    reason: str
    rows: int
    example: str
    """The detail of one of these rows: column, expected value, actual value."""


def count_reasons(rows: Iterable[Row]) -> dict[str, tuple[ReasonCount, ...]]:
    """The reasons of each drop by its id, the most frequent reason first. No row is kept in memory."""
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for row in rows:
        counts[row.run, row.reason] += 1
        examples.setdefault((row.run, row.reason), row.detail)
    found: dict[str, tuple[ReasonCount, ...]] = {}
    for (run, reason), number in counts.most_common():
        one = ReasonCount(reason=reason, rows=number, example=examples[run, reason])
        found[run] = (*found.get(run, ()), one)
    return found


def reasons_of(s3: Any, names: WorkloadNames, execution: Execution) -> tuple[ReasonCount, ...]:
    """The reasons of the rows that one execution has quarantined, the most frequent first. `s3` is boto3's client.

    The example of a reason is the first row in the column that was wrong most often."""
    files = (content for uri in _files_of(names, execution) if (content := find_object(s3, uri)))
    # The largest groups first: the first violation of a reason becomes its example.
    found = sorted((one for content in files for one in _violations_in(content)), key=lambda one: one[1], reverse=True)
    counts: Counter[Reason] = Counter()
    examples: dict[Reason, str] = {}
    for violation, rows in found:
        counts[violation.reason] += rows
        examples.setdefault(violation.reason, violation.sentence)
    return tuple(ReasonCount(reason=one, rows=rows, example=examples[one]) for one, rows in counts.most_common())


def _files_of(names: WorkloadNames, execution: Execution) -> Iterator[str]:
    """The URIs of the quarantine files that the execution may have written."""
    # A run of `score` by hand may name no feed.
    feed: Feed | None = "scoring" if execution.machine == "score" else execution.input.get("detail", {}).get("feed")
    if feed is None:
        return
    for drop in drops_of(execution):
        for part in PARTS if drop.as_of else ():
            key = object_key(names.workload, feed, as_of=parse_utc(drop.as_of), drop_id=drop.drop_id, part=part)
            yield f"s3://{names.platform.bucket('lake')}/{key}"


def _violations_in(content: bytes) -> Iterator[tuple[RuleViolation, int]]:
    """The first violation of each reason and column in a file, and how many rows have one."""
    rows = pq.read_table(io.BytesIO(content), columns=list(FIELDS))
    alike = rows.group_by(["reason", "column_name"], use_threads=False)  # in order: the first is the first
    for one in alike.aggregate([("expected", "first"), ("got", "first"), ([], "count_all")]).to_pylist():
        reason, column = Reason(one["reason"]), one["column_name"]
        found = RuleViolation(reason=reason, column=column, expected=one["expected_first"], got=one["got_first"])
        yield found, one["count_all"]


def check_reason(reason: str) -> None:
    """Raise EnvironmentNotFoundError, with a list of all reasons, if the text is not one of them."""
    if reason and reason not in list(Reason):
        raise EnvironmentNotFoundError(f"--reason: expected one of {', '.join(Reason)}, got {reason!r}")


def summarize(rows: Iterable[Row], *, shown: int | None) -> tuple[Counter[str], list[Row]]:
    """How many rows there are by reason, and the first `shown` rows (all for None). No other row is kept."""
    counts: Counter[str] = Counter()
    kept: list[Row] = []
    for row in rows:
        counts[row.reason] += 1
        if shown is None or len(kept) < shown:
            kept.append(row)
    return counts, kept


def schema() -> pa.Schema:
    """The Arrow schema of a file of refused rows."""
    kinds = {"line": pa.int64(), "quarantined_at": pa.timestamp("us")}
    return pa.schema([(name, kinds.get(name, pa.string())) for name in Row.__dataclass_fields__])


def _is_wanted(row: Row, *, drop: str, reason: str) -> bool:
    """Whether the row is of this drop, a key or the end of a key, and has this reason. An empty text fits every row."""
    # The version is ignored. The slash before both makes `may.csv` not fit `north-may.csv`.
    whole = drop.partition("?versionId=")[0].removeprefix("s3://")
    return (not drop or f"/{row.source.removeprefix('s3://').partition('?')[0]}".endswith(f"/{whole}")) and (
        not reason or row.reason == reason
    )
