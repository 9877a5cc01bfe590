"""A folder of images as the Parquet file that is dropped in its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from console.image_folder import ID, IMAGE, LABEL, SPLIT, find_images, scaled_to
from millrace.contract.rules.image import ImageFormat
from millrace.contract.schema import Contract, Feed, Table, arrow_schema
from millrace.errors import RunError
from millrace.files.image import is_image
from millrace.files.origin import image_columns
from millrace.files.sniff import HEAD_BYTES

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_BYTES = 4 * 2**20
"""Of a row group: what ingestion holds in memory at once."""


@contextmanager
def packed(path: Path, contract: Contract, feed: Feed, *, scale: bool = False) -> Iterator[Path]:
    """The file itself or, of a folder, its images in a Parquet file while the block runs.

    Each image has the size that the contract declares with `scale`, or where the contract says `scale: true`; then
    one image alone has it too. Raises RunError for a folder without images, or where the feed's table is not of one
    image, its key and its label."""
    table = contract.table(feed)
    scale = scale or declares_scale(table)
    if not path.is_dir():
        with _scaled_file(path, table) if scale and _is_image(path) else nullcontext(path) as content:
            yield content
        return
    import pyarrow.parquet as pq

    rows = _rows(path, contract, feed)
    rows = _scaled(rows, table) if scale else rows
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"{path.resolve().name}.parquet"
        group = max(1, rows.num_rows * GROUP_BYTES // max(rows.nbytes, 1))
        pq.write_table(rows, file, row_group_size=group, write_page_checksum=True)
        yield file


def declares_scale(table: Table) -> bool:
    """Whether the contract says `scale: true` of an image."""
    return any(rule.scale for column in image_columns(table) if (rule := column.find(ImageFormat)))


def _is_image(path: Path) -> bool:
    with path.open("rb") as file:
        return is_image(file.read(HEAD_BYTES))


@contextmanager
def _scaled_file(path: Path, table: Table) -> Iterator[Path]:
    """The image in the contract's size, of the same name but for the suffix: the name is its key."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"{path.stem}.png"
        file.write_bytes(scaled_to(path.read_bytes(), _rule(table)))
        yield file


def _rows(folder: Path, contract: Contract, feed: Feed) -> pa.Table:
    """The folder's images as the feed's columns, named as in a file."""
    table = contract.table(feed)
    label = contract.label.name if feed == "training" else ""
    names = {**_key_and_image(table, feed), **({LABEL: label} if label else {}), SPLIT: SPLIT}
    found = find_images(folder)
    if not (found.in_classes if label else found.paths):
        expected = f"images in a folder for each class: {folder}/<class>/a.png" if label else "images"
        came = f"{len(found.paths)} images beside each other" if found.paths else "no images"
        raise RunError(f"FILE: expected {expected}, got {came}")
    rows = found.labelled() if label else found.unlabelled()
    kept = [name for name in rows.column_names if names[name] in table.names]
    given = {names[name] for name in kept}
    if missing := [column.name for column in table.columns if column.is_expected and column.name not in given]:
        raise RunError(f"FILE: expected a table with {', '.join(missing)}, got {folder}, a folder of images")
    return _typed(rows.select(kept).rename_columns([names[name] for name in kept]), table)


def _key_and_image(table: Table, feed: Feed) -> dict[str, str]:
    images = [column.name for column in image_columns(table)] if feed != "labels" else []
    keys = [name for key in table.keys[:1] for name in key if table.column(name).kind == "string"]
    if len(images) != 1 or len(keys) != 1:
        came = f"images {images or 'none'} and the keys {keys or 'none'} in the feed {feed}"
        raise RunError(
            f"FILE: a folder is for a contract with one column of images and one text as its key, got {came}"
        )
    return {ID: keys[0], IMAGE: images[0]}


def _scaled(rows: pa.Table, table: Table) -> pa.Table:
    import pyarrow as pa

    [column], rule = image_columns(table), _rule(table)
    place = rows.column_names.index(column.name_in_file)
    cells = [scaled_to(cell, rule) for cell in rows[column.name_in_file].to_pylist()]
    return rows.set_column(place, rows.schema.field(place), pa.array(cells, rows.schema.field(place).type))


def _rule(table: Table) -> ImageFormat:
    """Raises RunError where the contract's images are no PNG, in which alone nothing is lost."""
    rules = [column.find(ImageFormat) for column in image_columns(table)]
    if len(rules) != 1 or rules[0] is None or rules[0].encoding != "png":
        raise RunError(f"--scale: expected one column of PNG images in the contract, got {len(rules)} of images")
    return rules[0]


def _typed(rows: pa.Table, table: Table) -> pa.Table:
    """The columns in the contract's types and with their names in files."""
    import pyarrow as pa

    schema = arrow_schema(table)
    try:
        typed = rows.cast(pa.schema([schema.field(name) for name in rows.column_names]))
    except pa.ArrowInvalid as error:
        raise RunError(f"FILE: expected folders named as the contract's classes, got {error}") from None
    return typed.rename_columns([table.column(name).name_in_file for name in typed.column_names])
