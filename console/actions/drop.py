"""Put a file into the landing bucket, where a drop starts its run; of a folder of images the Parquet file of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from millrace.console.files.catalogue import TABLE_FILES, head_of
from millrace.console.files.given import STANDARD_INPUT, Given, is_below
from millrace.console.files.grid import Inside, stop
from millrace.console.image_folder import ID, IMAGE, LABEL, SPLIT, find_images, scaled_to
from millrace.console.queries.stored import Unread, head_object, part
from millrace.console.stages import declared_options
from millrace.contract.drop_rules import Totals
from millrace.contract.reasons import Reason
from millrace.contract.rules.image import ImageFormat
from millrace.contract.schema import FEEDS, Contract, Feed, Table, arrow_schema
from millrace.contract.validate import Validator, totals_of
from millrace.errors import DropError, RunError
from millrace.files.catalogue import format_of, read_drop
from millrace.files.image import is_image
from millrace.files.origin import Origin, image_columns
from millrace.files.parsed import Limits, check_header
from millrace.names import MACHINE_OF_FEED, WorkloadNames, drop_id_of
from millrace.workload.bulk import told_of_job
from millrace.workload.load import load_workload, workloads_folder

GROUP_BYTES = 4 * 2**20
"""The size of a row group. Ingestion holds one row group in memory at a time."""


@contextmanager
def packed(path: Path, contract: Contract, feed: Feed) -> Iterator[Path]:
    """The file itself; for a folder, a Parquet file of its images that exists while the block runs.

    Where the contract says `scale: true`, each image is brought to its size, and so is a single image file.
    Raises RunError if the folder has no images, and if the feed's table has more than one image, its key and its
    label."""
    table = contract.table(feed)
    scale = declares_scale(table)
    if not path.is_dir():
        with _scaled_file(path, table) if scale and is_image(head_of(path)) else nullcontext(path) as content:
            yield content
        return

    rows = _rows(path, contract, feed)
    rows = _scaled(rows, table) if scale else rows
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"{path.resolve().name}.parquet"
        # Rows per group, by the mean size of a row.
        group = max(1, rows.num_rows * GROUP_BYTES // max(rows.nbytes, 1))
        pq.write_table(rows, file, row_group_size=group, write_page_checksum=True)
        yield file


def declares_scale(table: Table) -> bool:
    """Whether the contract says `scale: true` for an image column."""
    return any(rule.scale for column in image_columns(table) if (rule := column.find(ImageFormat)))


@contextmanager
def _scaled_file(path: Path, table: Table) -> Iterator[Path]:
    """The image in the contract's size, as a PNG with the same stem: the stem is the row's key."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"{path.stem}.png"
        file.write_bytes(scaled_to(path.read_bytes(), _rule(table)))
        yield file


def _rows(folder: Path, contract: Contract, feed: Feed) -> pa.Table:
    """The folder's images as a table, with the column names that the feed has in files."""
    table = contract.table(feed)
    found = find_images(folder)
    label = contract.label.name if feed == "training" and (found.in_classes or contract.label.required) else ""
    # From the names that an image folder gives its columns to the names of the contract.
    names = {**_key_and_image(table, feed), **({LABEL: label} if label else {}), SPLIT: SPLIT}
    if not (found.in_classes if label else found.paths):
        expected = f"images in a folder for each class: {folder}/<class>/a.png" if label else "images"
        came = f"{len(found.paths)} images beside each other" if found.paths else "no images"
        raise RunError(f"FILE: expected {expected}, got {came}")
    rows = found.labelled() if label else found.unlabelled()
    # Only the columns that the feed has: `split`, for example, only where the contract declares it.
    kept = [name for name in rows.column_names if names[name] in table.names]
    given = {names[name] for name in kept}
    if missing := [column.name for column in table.columns if column.is_expected and column.name not in given]:
        raise RunError(f"FILE: expected a table with {', '.join(missing)}, got {folder}, a folder of images")
    return _typed(rows.select(kept).rename_columns([names[name] for name in kept]), table)


def _key_and_image(table: Table, feed: Feed) -> dict[str, str]:
    """The contract's columns for the key and for the image of a row: `{"id": "<key>", "image": "<image>"}`.

    Raises RunError unless the feed has exactly one image column and one text column as its key."""
    images = [column.name for column in image_columns(table)] if feed != "labels" else []
    keys = [name for key in table.keys[:1] for name in key if table.column(name).kind == "string"]
    if len(images) != 1 or len(keys) != 1:
        came = f"images {images or 'none'} and the keys {keys or 'none'} in the feed {feed}"
        raise RunError(
            f"FILE: a folder is for a contract with one column of images and one text as its key, got {came}"
        )
    return {ID: keys[0], IMAGE: images[0]}


def _scaled(rows: pa.Table, table: Table) -> pa.Table:
    [column], rule = image_columns(table), _rule(table)
    place = rows.column_names.index(column.name_in_file)
    cells = [scaled_to(cell, rule) for cell in rows[column.name_in_file].to_pylist()]
    return rows.set_column(place, rows.schema.field(place), pa.array(cells, rows.schema.field(place).type))


def _rule(table: Table) -> ImageFormat:
    """The image format that the contract declares.

    Raises RunError unless there is exactly one image column and its format is PNG: only PNG loses nothing when it is
    written again."""
    rules = [column.find(ImageFormat) for column in image_columns(table)]
    if len(rules) != 1 or rules[0] is None or rules[0].encoding != "png":
        raise RunError(f"scale: true: expected one column of PNG images in the contract, got {len(rules)} of images")
    return rules[0]


def _typed(rows: pa.Table, table: Table) -> pa.Table:
    """The rows with the contract's types and with their column names in files."""
    schema = arrow_schema(table)
    try:
        typed = rows.cast(pa.schema([schema.field(name) for name in rows.column_names]))
    except pa.ArrowInvalid as error:
        raise RunError(f"FILE: expected folders named as the contract's classes, got {error}") from None
    return typed.rename_columns([table.column(name).name_in_file for name in typed.column_names])


MOST_BYTES, MOST_BULK_BYTES, MOST_PUT_BYTES = Limits().file_bytes, 5 * 2**40, 5 * 2**30
"""The largest drop: ingestion refuses a larger one whole, so it is not uploaded. With `bulk`, of training: S3's limit,
and that of one call; a larger file is uploaded in parts.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html"""


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


def check(files: Sequence[Path], feed: str, stage: str) -> Feed:
    """The feed of this name, once it is clear that the files can be put there.

    Raises RunError if there is no such feed, and if a file is missing, empty or too large. The files of a folder are
    checked one by one, later."""
    known = next((one for one in FEEDS if one == feed), None)
    if known is None:
        raise RunError(f"--feed: expected one of {list(MACHINE_OF_FEED)}, got {feed!r}")
    for file in (one for one in files if not one.is_dir() and one != STANDARD_INPUT):
        if not file.is_file():
            raise RunError(f"FILE: expected a file or a folder, got {file}, which is not there")
        _check_size(file, file.name, known, stage)
    return known


def _bulk(feed: str, stage: str) -> Mapping[str, int] | None:
    """The options of the stage's jobs of Spark; None if no job judges drops of the feed."""
    return declared_options(stage).get("bulk") if feed == "training" else None


def _check_size(file: Path, name: str, feed: str, stage: str) -> None:
    most = MOST_BYTES if _bulk(feed, stage) is None else MOST_BULK_BYTES
    if not 0 < (size := file.stat().st_size) <= most:
        cut = "; cut it into files with the names in each, use Parquet or the stage's option `bulk`" if size else ""
        raise RunError(f"FILE: expected 1 byte to {most // 2**20} MiB, got {name} of {size:,} bytes{cut}")


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
def content_of(given: Given, contract: Contract, feed: Feed, inside: Inside, *, stage: str) -> Iterator[Content]:
    """The file itself; images of a folder as Parquet, rows of a workbook or a database as JSON lines, while it runs.

    Raises RunError as `packed` does and for a file that is too large, and ConfigurationError for columns that the feed
    does not have."""
    if not given.kind:
        with packed(given.path, contract, feed) as file:
            _check_size(file, given.name or file.name, feed, stage)
            is_same = file == given.path
            yield Content(path=file, plain=given.plain if is_same else file, name=given.name if is_same else file.name)
        return
    grid, table = given.grid(inside), contract.table(feed)
    notes = [grid.note]
    if labels := [name for name in grid.names if name in _label_names(contract, feed)]:
        grid = grid.without(labels)
        notes.append(f"{', '.join(labels)} is left out: no file to score has a label")
    try:
        check_header(grid.names, table)
    except DropError as error:
        stop(given.path, "columns", error.expected, error.got)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        grid.write(table, path)
        _check_size(path, given.path.name, feed, stage)
        yield Content(path=path, plain=path, name=given.target, notes=tuple(notes))


def labels_in(file: Path, contract: Contract, feed: Feed) -> tuple[str, ...]:
    """The columns of a file to score that hold the contract's label, by their names in the file.

    Empty for another feed, for a label that is also an input, and for a file whose columns cannot be read here."""
    unwanted, names = _label_names(contract, feed), list[str]()
    head = head_of(file)
    # Only a warning depends on the names. A file that cannot be read here is judged by ingestion.
    with suppress(DropError, ValueError, OSError):
        if unwanted and head.strip() and (known := TABLE_FILES.get(format_of(head))):
            names = known.column_names(file, contract.table(feed).csv)
    return tuple(name for name in names if name in unwanted)


def _label_names(contract: Contract, feed: Feed) -> set[str]:
    """The names of labels that no file to score has; empty for another feed."""
    # A label that is also an input is a column of the scoring table, so nothing is left of `labels` then.
    labels = {name for column in contract.label_columns for name in (column.name, column.name_in_file)}
    return labels - {*contract.table(feed).name_of} if feed == "scoring" else set()


def landing_key(names: WorkloadNames, feed: str, name: str) -> str:
    """The object's key, `<workload>/<feed>/<name>`. Raises RunError for a name that does not lead below the feed."""
    if not is_below(name):
        raise RunError(f"--name: expected a name such as 1997-05.csv or north/1997-05.csv, got {name!r}")
    return f"{names.workload}/{feed}/{name}"


def put(s3: Any, names: WorkloadNames, file: Path, *, feed: str, key: str, said: Mapping[str, str]) -> Dropped:
    """The object that the file became, encrypted as the bucket's default says. `s3` is boto3's client.

    `said` are the object's metadata: `by`, the identity of the person, and `repairs`, the drop that it mends.

    Raises RunError if the bucket keeps no versions: the intake identifies an object by its version."""
    bucket = names.platform.bucket("landing")
    metadata = dict(said)
    with file.open("rb") as body:
        if (size := file.stat().st_size) > MOST_PUT_BYTES:
            s3.upload_fileobj(body, bucket, key, ExtraArgs={"Metadata": metadata})
            answer = s3.head_object(Bucket=bucket, Key=key)
        else:
            answer = s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata=metadata)
    version = answer.get("VersionId", "")
    if not version:
        raise RunError(f"{bucket}: expected a bucket that keeps versions, got none for {key}")
    return Dropped(
        uri=f"s3://{bucket}/{key}?versionId={version}",
        size=size,
        machine=MACHINE_OF_FEED[feed],
        drop_id=drop_id_of(bucket, key, version),
    )


LOOKED_ROWS, EXAMPLES = 5_000, 3
"""So many rows of a file are judged before it is put, and so many refused ones are shown of a reason."""


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What the contract says of rows of a file, by themselves: keys that the table has are not compared."""

    rows: int
    is_whole: bool
    """Whether these are all rows of the file."""
    refused: Mapping[str, int]
    """How many rows would be quarantined, by their first reason."""
    examples: Mapping[str, Sequence[str]]
    """Of the first EXAMPLES rows of each reason: `line 3: demand: expected <= 1, got 17.5`."""
    held: Sequence[str] = ()
    """The rules on drops that the whole file breaks."""


def look(content: Content, table: Table, at: datetime, *, parts: int | None = 1) -> Looked:
    """Judge the first LOOKED_ROWS rows as a drop that comes now, `at`, or so many `parts` of so many; None for all.

    Raises DropError for a file that would be refused whole."""

    def fetch(key: str, _: str) -> bytes:
        raise DropError(Reason.MISSING, expected="images in the file: `millrace drop` takes a manifest", got=key)

    origin = Origin(name=content.name, at=at, digest="0" * 64, fetch=fetch)
    every = read_drop(content.path, table, Limits(batch_rows=LOOKED_ROWS), origin)
    validator, totals = Validator(table, decodes=True), Totals({"good": 0})
    rows, refused, examples = 0, Counter[str](), dict[str, list[str]]()
    for piece in islice(every, parts):
        judged = validator.judge(piece.rows)
        totals.update(totals_of(judged, table))
        rows += piece.rows.num_rows + len(piece.unparsable)
        for row in sorted([*piece.unparsable, *judged.refused], key=lambda row: row.line or 0):
            refused[row.reason] += 1
            if refused[row.reason] <= EXAMPLES:
                examples.setdefault(row.reason, []).append(f"line {row.line}: {row.violations[0].sentence}")
    is_whole = next(every, None) is None
    broken = [said for rule in table.drop_rules if is_whole and (said := rule.broken(totals))]
    return Looked(rows=rows, is_whole=is_whole, refused=refused, examples=examples, held=broken)


def warnings(
    s3: Any, names: WorkloadNames, contract: Contract, feed: Feed, content: Content, key: str
) -> Iterator[str]:
    """What a person should know of the file before it is put at the key. `s3` is boto3's client.

    Raises RunError as `told_of_job` does."""
    if (bulk := _bulk(feed, names.platform.stage)) is not None:
        workload = load_workload(workloads_folder() / names.workload)
        yield from told_of_job(content.path.stat().st_size, workload, contract, **bulk)
    yield from content.notes
    if labels := labels_in(content.plain, contract, feed):
        what = f"the file has the label, {' and '.join(labels)}, which no file to score has: its rows get no prediction"
        yield f"warning: {what}; drop it without the label (with it: --feed labels or training)"
    before = part(lambda: head_object(s3, f"s3://{names.platform.bucket('landing')}/{key}"))
    if before and not isinstance(before, Unread):  # who may not list the bucket is not told what is not there
        was = f"{before['ContentLength']:,} bytes of {before['LastModified']:%Y-%m-%d %H:%M}"
        kept = ", whose good rows take the place of the earlier ones; another name keeps both" * (feed != "scoring")
        yield f"warning: {key} is there already ({was}): this is a new version of it{kept}"
