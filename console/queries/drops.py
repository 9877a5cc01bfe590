"""The dropped objects: how many rows the contract took, the refused ones with their reasons, and the scored ones."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from millrace.artefact.batch import ROW
from millrace.aws.objects import key_of_version, keys_below
from millrace.console import words
from millrace.console.environment import Environment
from millrace.console.files.catalogue import TABLE_FILES
from millrace.console.queries.executions import DropAnswer, Execution, drops_of
from millrace.console.queries.stored import find_object
from millrace.contract.csv_form import CsvForm
from millrace.contract.reasons import Reason
from millrace.contract.schema import Contract, Feed
from millrace.contract.violation import RuleViolation
from millrace.datasets.quarantine import FIELDS, PARTS, object_key
from millrace.errors import EnvironmentNotFoundError
from millrace.files.catalogue import format_in
from millrace.files.lines import BOM, lines_of
from millrace.names import WorkloadNames
from millrace.timestamps import parse_utc


@dataclass(frozen=True, kw_only=True)
class Row:
    """One refused row, or one refused file, which has no line."""

    feed: str
    drop: str = words.column()
    """The key of the dropped object, without its bucket."""
    source: str
    """The URI of the dropped object, with its version."""
    line: int | None = words.column()
    key: str = words.column()
    """The row's key as text; empty if it could not be read."""
    reason: str = words.column()
    column: str | None = words.column()
    """The column of the first rule that the row breaks; None if that rule is about the whole row or file."""
    expected: str = words.column()
    got: str = words.column()
    also: str = words.column()
    """The further rules that the row breaks, with their columns: `range vicprice, missing transfer`."""
    repaired: str = words.column(default="")
    """The landing key and the line that brought the mended row into its table: `…/training/fixed.csv:3`; else empty."""
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
    for feed, content in read_files(environment, names, runs):
        yield from (row for row in read_file(content, feed=feed) if _is_wanted(row, drop=drop, reason=reason))


def read_files(
    environment: Environment, names: WorkloadNames, runs: Container[str] | None = None
) -> Iterator[tuple[str, bytes]]:
    """The quarantine files of the drops with these ids, or all; each with its feed."""
    bucket, prefix = names.platform.bucket("lake"), f"{names.workload}/quarantine/"
    client = environment.client("s3")
    for key in keys_below(client, bucket, prefix):
        # A quarantine file is named `<drop's id>-<part>.parquet`.
        if runs is None or key.rpartition("/")[2].rpartition("-")[0] in runs:
            feed = key.removeprefix(prefix).partition("/")[0].removeprefix("feed=")
            yield feed, client.get_object(Bucket=bucket, Key=key)["Body"].read()


def read_file(content: bytes, *, feed: str) -> Iterator[Row]:
    """The rows of one quarantine file, in the order of their lines."""
    for row in sorted(pq.read_table(io.BytesIO(content)).to_pylist(), key=lambda row: row["line"] or 0):
        _, *others = row.pop("violations")
        also = ", ".join(f"{one['reason']} {one['column_name'] or ''}".rstrip() for one in others)
        yield Row(feed=feed, drop=key_of_version(row["source"]), column=row.pop("column_name"), also=also, **row)


@dataclass(frozen=True, kw_only=True)
class ReasonCount:
    """How many rows of one drop were refused for one reason."""

    reason: str
    rows: int
    example: str
    """The detail of one of these rows: column, expected value, actual value."""


def count_reasons(files: Iterable[bytes], *, by_drop: bool = True) -> dict[str, tuple[ReasonCount, ...]]:
    """The reasons in these quarantine files by the drop's id, or by "" for all; the most frequent reason first.

    The example of a reason is the first row in the column that was wrong most often."""
    # The largest groups first: the first violation of a reason becomes its example.
    found = sorted((one for content in files for one in _violations_in(content)), key=lambda one: one[2], reverse=True)
    counts, examples = defaultdict[str, Counter[str]](Counter), dict[tuple[str, str], str]()
    for run, violation, rows in found:
        whose = run if by_drop else ""
        counts[whose][violation.reason] += rows
        examples.setdefault((whose, violation.reason), violation.sentence)
    return {
        whose: tuple(ReasonCount(reason=one, rows=n, example=examples[whose, one]) for one, n in of.most_common())
        for whose, of in counts.items()
    }


def reasons_of(s3: Any, names: WorkloadNames, execution: Execution) -> tuple[ReasonCount, ...]:
    """The reasons of the rows that one execution has quarantined. `s3` is boto3's client."""
    files = (content for uri in _files_of(names, execution) if (content := find_object(s3, uri)))
    return count_reasons(files, by_drop=False).get("", ())


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


def _violations_in(content: bytes) -> Iterator[tuple[str, RuleViolation, int]]:
    """The drop's id, the first violation of each reason and column in a file, and how many rows have one."""
    rows = pq.read_table(io.BytesIO(content), columns=["run", *FIELDS])
    alike = rows.group_by(["run", "reason", "column_name"], use_threads=False)  # in order: the first is the first
    for one in alike.aggregate([("expected", "first"), ("got", "first"), ([], "count_all")]).to_pylist():
        reason, column = Reason(one["reason"]), one["column_name"]
        found = RuleViolation(reason=reason, column=column, expected=one["expected_first"], got=one["got_first"])
        yield one["run"], found, one["count_all"]


def check_reason(reason: str) -> None:
    """Raise EnvironmentNotFoundError, with a list of all reasons, if the text is not one of them."""
    if reason and reason not in list(Reason):
        raise EnvironmentNotFoundError(f"--reason: expected one of {', '.join(Reason)}, got {reason!r}")


def summarize(rows: Iterable[Row], *, shown: int | None) -> tuple[Counter[str], Counter[str], list[Row]]:
    """The rows by reason, the most frequent first, how many of them are repaired, and the first `shown` rows.

    All rows for None. No other row is kept."""
    counts, repaired = Counter[str](), Counter[str]()
    kept: list[Row] = []
    for row in rows:
        counts[row.reason] += 1
        repaired[row.reason] += bool(row.repaired)
        if shown is None or len(kept) < shown:
            kept.append(row)
    return Counter(dict(counts.most_common())), repaired, kept


def _is_wanted(row: Row, *, drop: str, reason: str) -> bool:
    """Whether the row is of this drop, a key or the end of a key, and has this reason. An empty text fits every row."""
    # The version is ignored. The slash before both makes `may.csv` not fit `north-may.csv`.
    whole = drop.partition("?versionId=")[0].removeprefix("s3://")
    return (not drop or f"/{row.source.removeprefix('s3://').partition('?')[0]}".endswith(f"/{whole}")) and (
        not reason or row.reason == reason
    )


@dataclass(frozen=True, kw_only=True)
class Drop:
    """One dropped object. Its rows are accepted + quarantined."""

    name: str
    """For example `training/1996-05.parquet`."""
    feed: str
    as_of: str
    """When it came, ISO 8601."""
    accepted: int
    quarantined: int
    reasons: tuple[ReasonCount, ...]
    rejected: str
    """Why the whole object could not be read; both counts are 0 then. Empty otherwise."""
    snapshot: str
    """The table snapshot that the rows became; empty for a drop to score."""
    repeats: str = ""
    """The name of the earlier object with the same bytes; both counts are 0 then. Empty otherwise."""
    is_superseded: bool = False
    """Whether a later version of the same object came first; both counts are 0 then."""
    replaced: int = 0
    """How many rows of an earlier version of the object left for these."""


def find_drops(runs: Iterable[Execution], quarantined: Mapping[str, tuple[ReasonCount, ...]]) -> tuple[Drop, ...]:
    """The drops in the order in which they came.

    `runs` are executions of `ingest` and `score`, `quarantined` is by the drop's id. A drop that was run again is one
    drop, as the last run that says what became of it left it; if no run says it, its last run."""
    found: dict[str, DropAnswer] = {}
    for drop in chain.from_iterable(map(drops_of, sorted(runs, key=lambda run: run.started))):
        if drop.name and (drop.is_answered or not (drop.drop_id in found and found[drop.drop_id].is_answered)):
            found[drop.drop_id] = drop
    ordered = sorted(found.values(), key=lambda drop: (drop.as_of, drop.name))
    return tuple(_drop(drop, quarantined.get(drop.drop_id, ())) for drop in ordered)


def _drop(drop: DropAnswer, reasons: Sequence[ReasonCount]) -> Drop:
    committed, delivered = drop.committed, drop.delivered
    repeats, is_superseded = (committed.repeats, bool(committed.superseded_by)) if committed else ("", False)
    # The quarantine has one entry for a file that was rejected whole; that entry is no row.
    is_judged = not (drop.rejected or repeats or is_superseded)
    return Drop(
        name=drop.name,
        feed=drop.name.partition("/")[0],
        as_of=drop.as_of,
        accepted=committed.rows_accepted if committed else delivered.rows if delivered else 0,
        quarantined=sum(one.rows for one in reasons) if is_judged else 0,
        reasons=tuple(reasons) if is_judged or drop.rejected else (),
        rejected=drop.rejected.reason if drop.rejected else "",
        snapshot=committed.snapshot_id if committed else "",
        repeats=repeats,
        is_superseded=is_superseded,
        replaced=committed.rows_replaced if committed else 0,
    )


REFUSED = ("refused", "refused_because")
"""The columns with the reason and the words of why a row has no answer; empty for an answered row."""
Cells = dict[str, Any]


def scored_rows(sent: Path, contract: Contract, delivered: pa.Table | None, refused: Iterable[Row]) -> list[Cells]:
    """Each row of the `sent` file in its order, with its answer; empty for a file that was refused whole.

    `delivered` is the file of predictions, None if no row has one. Both it and `refused` name the line in which a row
    begins; of a Parquet file the place of the row. An answer's column gets `_answer` at its end if the file has a
    column of its name."""
    table = contract.table("scoring")
    own = {*(column.name for column in contract.rows.columns), ROW}
    answered = delivered.to_pylist() if delivered is not None else []
    answers = {row[ROW]: {name: cell for name, cell in row.items() if name not in own} for row in answered}
    reasons = {row.line: dict(zip(REFUSED, (row.reason, row.detail), strict=True)) for row in refused if row.line}
    # Every record is answered or refused, so together they say where each one begins.
    begun = sorted({*answers, *reasons})
    if not begun:
        return []
    empty = dict.fromkeys((*(name for answer in answers.values() for name in answer), *REFUSED))
    records = list(RECORDS[format_in(sent, table)](sent, table.csv, begun))
    names = dict.fromkeys(name for record in records for name in record)
    found = []
    for line, record in zip(begun, records, strict=True):
        answer = empty | answers.get(line, {}) | reasons.get(line, {})
        beside = {f"{name}_answer" if name in names else name: cell for name, cell in answer.items()}
        found.append(dict.fromkeys(names) | record | beside)
    return found


def _of_csv(sent: Path, form: CsvForm, begun: Sequence[int]) -> Iterator[Cells]:
    names = list(form.columns) or TABLE_FILES["csv"].column_names(sent, form)
    quoted = {"quotechar": form.quote} if form.quote else {"quoting": csv.QUOTE_NONE}
    lines = lines_of(sent.read_bytes().removeprefix(BOM))
    for first, after in zip(begun, [*begun[1:], len(lines) + 1], strict=True):
        text = b"\n".join(lines[first - 1 : after - 1]).decode(form.encoding, errors="replace").rstrip("\r\n")
        try:
            cells = next(csv.reader([text], delimiter=form.delimiter, skipinitialspace=True, **quoted), [])
        except csv.Error:  # such as a lone "\r" between texts
            cells = []
        # A broken record may have fewer or more cells than the file has names.
        yield dict(zip(names, cells, strict=False))


def _of_json(sent: Path, _: CsvForm, begun: Sequence[int]) -> Iterator[Cells]:
    lines = lines_of(sent.read_bytes().removeprefix(BOM))
    for line in begun:
        try:
            found = json.loads(lines[line - 1])
        except (ValueError, RecursionError):
            found = None
        yield found if isinstance(found, dict) else {}


def _of_parquet(sent: Path, _: CsvForm, begun: Sequence[int]) -> Iterator[Cells]:
    """Without columns of bytes: images would be most of the file."""
    kept = [one.name for one in pq.read_schema(sent) if "binary" not in str(one.type)]
    rows = pq.read_table(sent, columns=kept).take(pa.array([line - 1 for line in begun], pa.int64()))
    return iter(rows.to_pylist()) if kept else iter([{} for _ in begun])


RECORDS: Mapping[str, Callable[[Path, CsvForm, Sequence[int]], Iterator[Cells]]] = {
    "csv": _of_csv,
    "jsonlines": _of_json,
    "parquet": _of_parquet,
}
"""By format: the records that begin in these lines, as the file holds them."""
