"""Put a file into the landing bucket, where a drop starts its run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from botocore.exceptions import ClientError

from millrace.console.actions.pack import packed
from millrace.console.files.catalogue import TABLE_FILES
from millrace.console.files.given import STANDARD_INPUT, Given, is_below
from millrace.console.files.grid import stop
from millrace.console.files.inside import Inside
from millrace.contract.csv_form import CsvForm
from millrace.contract.planned import as_planned
from millrace.contract.schema import FEEDS, Contract, Feed
from millrace.errors import DropError, RunError
from millrace.files.parsed import Limits, check_header
from millrace.files.sniff import HEAD_BYTES, format_of
from millrace.names import MACHINE_OF_FEED, WorkloadNames, drop_id_of

MOST_BYTES = Limits().file_bytes
"""The largest drop: ingestion refuses a larger one whole, so it is not uploaded."""


@dataclass(frozen=True, kw_only=True)
class Before:
    """The object that a drop would replace."""

    size: int
    """Bytes."""
    modified: str
    """When it was put, in UTC: `1997-05-01 08:00`."""


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """An object in the landing bucket."""

    uri: str
    """The object with its version: `s3://<bucket>/<key>?versionId=…`."""
    size: int
    """Bytes."""
    machine: str
    """The machine that the drop starts: `ingest` or `score`."""
    drop_id: str
    """The intake records under this id which run works on the drop."""


def check(files: Sequence[Path], feed: str) -> Feed:
    """The feed of this name, once it is clear that the files can be put there.

    Raises RunError if there is no such feed, and if a file is missing, empty or too large. The files of a folder are
    checked one by one, later."""
    known = next((one for one in FEEDS if one == feed), None)
    if known is None:
        raise RunError(f"--feed: expected one of {list(MACHINE_OF_FEED)}, got {feed!r}")
    for file in files:
        if file.is_dir() or file == STANDARD_INPUT:
            continue
        if not file.is_file():
            raise RunError(f"FILE: expected a file or a folder, got {file}, which is not there")
        _check_size(file, file.name)
    return known


def _check_size(file: Path, name: str) -> None:
    if not 0 < (size := file.stat().st_size) <= MOST_BYTES:
        cut = "; cut it into files with the names in each, or save it as Parquet" if size else ""
        raise RunError(f"FILE: expected 1 byte to {MOST_BYTES // 2**20} MiB, got {name} of {size:,} bytes{cut}")


@dataclass(frozen=True, kw_only=True)
class Content:
    """What is put into the landing bucket of one file that was given."""

    path: Path
    plain: Path
    """The same without its packing."""
    name: str
    """The object's name below the feed; empty if the file has none."""
    notes: tuple[str, ...] = ()
    """Sentences on what becomes of the file on its way, for a file that must be converted."""


@contextmanager
def content_of(given: Given, contract: Contract, feed: Feed, inside: Inside, *, scale: bool) -> Iterator[Content]:
    """The file itself; images of a folder as Parquet, rows of a workbook or a database as JSON lines, while it runs.

    Raises RunError as `packed` does and for a file that is too large, and ConfigurationError for columns that the feed
    does not have."""
    if not given.kind:
        with packed(given.path, contract, feed, scale=scale) as file:
            _check_size(file, given.name or file.name)
            is_same = file == given.path
            yield Content(path=file, plain=given.plain if is_same else file, name=given.name if is_same else file.name)
        return
    grid, table = given.grid(inside), contract.table(feed)
    notes = [grid.note]
    if labels := [name for name in grid.names if name in _label_names(contract, feed)]:
        grid = grid.without(labels)
        notes.append(f"{', '.join(labels)} is left out: no file to score has a label")
    try:
        check_header(grid.names, as_planned(table) if feed == "scoring" else table)
    except DropError as error:
        stop(given.path, "columns", error.expected, error.got)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        grid.write(table, path)
        _check_size(path, given.path.name)
        yield Content(path=path, plain=path, name=given.target, notes=tuple(notes))


def labels_in(file: Path, contract: Contract, feed: Feed) -> tuple[str, ...]:
    """The columns of a file to score that hold the contract's label, by their names in the file.

    Empty for another feed, for a label that is also an input, and for a file whose columns cannot be read here."""
    if not (unwanted := _label_names(contract, feed)):
        return ()
    return tuple(name for name in _names_in(file, contract.table(feed).csv) if name in unwanted)


def _label_names(contract: Contract, feed: Feed) -> set[str]:
    """The names of labels that no file to score has; empty for another feed."""
    # A label that is also an input is a column of the scoring table, so nothing is left of `labels` then.
    labels = {name for column in contract.label_columns for name in (column.name, column.name_in_file)}
    return labels - {*contract.table(feed).name_of} if feed == "scoring" else set()


def unwanted(labels: Sequence[str]) -> str:
    """The warning for a file to score that has these label columns."""
    column = "column" if len(labels) == 1 else "columns"
    return (
        f"the file has the label, {column} {', '.join(labels)}, which no file to score has: it is not ignored, the "
        "rows will be quarantined without a prediction; drop the file without it (with it: --feed labels or training)"
    )


def _names_in(file: Path, form: CsvForm) -> list[str]:
    """The file's column names; empty if they cannot be read."""
    with file.open("rb") as opened:
        head = opened.read(HEAD_BYTES)
    try:
        # Only a warning depends on the names. A file that cannot be read here is judged by ingestion.
        known = TABLE_FILES.get(format_of(head)) if head.strip() else None
        return known.column_names(file, form) if known else []
    except (DropError, ValueError, OSError):
        return []


def landing_key(names: WorkloadNames, feed: str, name: str) -> str:
    """The object's key, `<workload>/<feed>/<name>`. Raises RunError for a name that does not lead below the feed."""
    if not is_below(name):
        raise RunError(f"--name: expected a name such as 1997-05.csv or north/1997-05.csv, got {name!r}")
    return f"{names.workload}/{feed}/{name}"


def present(s3: Any, names: WorkloadNames, key: str) -> Before | None:
    """The object that lies at this key now; None if there is none. `s3` is boto3's client."""
    try:
        head = s3.head_object(Bucket=names.platform.bucket("landing"), Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        return None
    return Before(size=head["ContentLength"], modified=f"{head['LastModified']:%Y-%m-%d %H:%M}")


def put(s3: Any, names: WorkloadNames, file: Path, *, feed: str, key: str, by: str = "") -> Dropped:
    """The object that the file became, encrypted as the bucket's default says. `s3` is boto3's client.

    `by` is the identity of the person, for the object's metadata.

    Raises RunError if the bucket keeps no versions: the intake identifies an object by its version."""
    bucket = names.platform.bucket("landing")
    metadata = {"by": by} if by else {}
    with file.open("rb") as body:
        version = s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata=metadata).get("VersionId", "")
    if not version:
        raise RunError(f"{bucket}: expected a bucket that keeps versions, got none for {key}")
    return Dropped(
        uri=f"s3://{bucket}/{key}?versionId={version}",
        size=file.stat().st_size,
        machine=MACHINE_OF_FEED[feed],
        drop_id=drop_id_of(bucket, key, version),
    )
