"""Pack a folder of images into the Parquet file that is dropped in its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from millrace.console.image_folder import ID, IMAGE, LABEL, SPLIT, find_images, scaled_to
from millrace.contract.rules.image import ImageFormat
from millrace.contract.schema import Contract, Feed, Table, arrow_schema
from millrace.errors import RunError
from millrace.files.image import is_image
from millrace.files.origin import image_columns
from millrace.files.sniff import HEAD_BYTES

GROUP_BYTES = 4 * 2**20
"""The size of a row group. Ingestion holds one row group in memory at a time."""


@contextmanager
def packed(path: Path, contract: Contract, feed: Feed, *, scale: bool = False) -> Iterator[Path]:
    """The file itself; for a folder, a Parquet file of its images that exists while the block runs.

    With `scale`, or where the contract says `scale: true`, each image is brought to the size that the contract
    declares. That holds for a single image file too.
    Raises RunError if the folder has no images, and if the feed's table has more than one image, its key and its
    label."""
    table = contract.table(feed)
    scale = scale or declares_scale(table)
    if not path.is_dir():
        with _scaled_file(path, table) if scale and _is_image(path) else nullcontext(path) as content:
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


def _is_image(path: Path) -> bool:
    with path.open("rb") as file:
        return is_image(file.read(HEAD_BYTES))


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
    label = contract.label.name if feed == "training" else ""
    # From the names that an image folder gives its columns to the names of the contract.
    names = {**_key_and_image(table, feed), **({LABEL: label} if label else {}), SPLIT: SPLIT}
    found = find_images(folder)
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
        raise RunError(f"--scale: expected one column of PNG images in the contract, got {len(rules)} of images")
    return rules[0]


def _typed(rows: pa.Table, table: Table) -> pa.Table:
    """The rows with the contract's types and with their column names in files."""
    schema = arrow_schema(table)
    try:
        typed = rows.cast(pa.schema([schema.field(name) for name in rows.column_names]))
    except pa.ArrowInvalid as error:
        raise RunError(f"FILE: expected folders named as the contract's classes, got {error}") from None
    return typed.rename_columns([table.column(name).name_in_file for name in typed.column_names])
