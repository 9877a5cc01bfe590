"""Reads what `--from` names: files of one shape as one table, a workbook or a database, a folder of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc

from millrace.console.files.given import Given
from millrace.console.files.grid import Inside, stop
from millrace.console.image_folder import SUFFIXES, find_images
from millrace.console.new.contract import read_rows
from millrace.console.new.read import Source, names_of, read_source
from millrace.contract.csv_form import CsvForm
from millrace.contract.schema import LINE, Table
from millrace.contract.violation import QuarantinedRow


def read_given(files: Sequence[Given], inside: Inside, *, columns: Sequence[str] = (), decimal: str = "") -> Source:
    """The rows of all files, which have one form and the same columns.

    In a column that names image files, images replace the names. Raises ConfigurationError if the files do not go
    together, and the errors of `read_source`."""
    sources = [_read(one, inside, columns, decimal) for one in files]
    if len(sources) == 1:
        return sources[0]
    first, table = sources[0], sources[0].table
    for other in sources[1:]:
        _check_alike(first, other)
    for name in table.column_names:
        _check_types(sources, name)
    forms = {one.csv for one in sources if not one.csv.has_plain_numbers} or {first.csv}
    if len(forms) > 1:
        came = " and ".join(sorted({repr(one.decimal) for one in forms}))
        stop(first.path, "--from", "files with one mark before decimals", came)
    table = pa.concat_tables([one.table.select(table.column_names) for one in sources], promote_options="permissive")
    names = ", ".join(one.name for one in files[:SHOWN]) + "…" * (len(files) > SHOWN)
    return replace(
        first,
        table=table,
        csv=forms.pop(),
        given=tuple(files),
        unparsable=tuple(row for one in sources for row in one.unparsable),
        notes=(
            f"{len(files)} files of one shape: {names}",
            *dict.fromkeys(note for one in sources for note in one.notes),
        ),
    )


SHOWN = 5


def _read(given: Given, inside: Inside, columns: Sequence[str], decimal: str) -> Source:
    if given.kind:
        grid = given.grid(inside)
        table = grid.texts()
        renamed = names_of(grid.path, table.column_names)
        changed = {new: old for old, new in zip(table.column_names, renamed, strict=True) if old != new}
        notes = (grid.note, *(f"{old!r} is called {new!r}" for new, old in changed.items()))
        table = table.rename_columns(renamed)
        return Source(path=grid.path, table=table, has_typed_text=True, notes=notes, names_in_file=changed, grid=grid)
    if given.path.is_dir():
        return read_folder(given.path)
    source = read_source(given.sample or given.plain, columns=columns, decimal=decimal)
    found = _with_images(replace(source, path=given.plain))
    return found if given.plain == given.path and not given.sample else replace(found, given=(given,))


def _check_alike(first: Source, other: Source) -> None:
    """Raises ConfigurationError unless the files go together as one table."""
    if first.grid or other.grid or first.path.is_dir() or other.path.is_dir():
        came = f"{first.path.name} and {other.path.name}"
        stop(other.path, "--from", "several files of CSV, TSV, JSON lines or Parquet, or one workbook", came)
    wanted, came = first.table.column_names, other.table.column_names
    if {*wanted} != {*came}:
        missing, more = [n for n in wanted if n not in came], [n for n in came if n not in wanted]
        told = "; ".join(
            f"{what} {', '.join(each[:SHOWN])}" for what, each in (("lacks", missing), ("has", more)) if each
        )
        stop(other.path, "columns", f"those of {first.path.name}", told)
    one, two = (replace(each.csv, decimal=".", thousands="") for each in (first, other))
    if first.has_typed_text is not other.has_typed_text or one != two:
        stop(other.path, "--from", f"a file written as {first.path.name} is", "another form: " + _form(two))


def _check_types(sources: Sequence[Source], name: str) -> None:
    """Raises ConfigurationError unless the cells of this column have one type in all files, or types of numbers."""
    known = pa.schema([sources[0].table.schema.field(name)])
    for source in sources[1:]:
        own = source.table.schema.field(name)
        try:
            known = pa.unify_schemas([known, pa.schema([own])], promote_options="permissive")
        except pa.ArrowTypeError:
            stop(source.path, name, f"{known.field(name).type}, as in the files before it", str(own.type))


def _form(form: CsvForm) -> str:
    return f"{form.delimiter!r} between cells, quote {form.quote!r}, {form.encoding}"


@dataclass(frozen=True, kw_only=True)
class TypedRows:
    """The rows of a source by its contract."""

    rows: pa.Table
    """With `_line`, which counts on from file to file."""
    unparsable: tuple[QuarantinedRow, ...]
    begins: tuple[tuple[int, str], ...]
    """The number of lines before each file, with the file's name; of one file alone the name is empty."""


def typed_rows(source: Source, contract: Table, *, at: datetime) -> TypedRows:
    """The rows as ingestion will type them. `at` is the time of rows without one of their own.

    Raises ConfigurationError if ingestion would refuse a file whole."""
    with droppable(source, contract) as files:
        found = [read_rows(one.sample or one.plain, contract, at=at) for one in files]
    parts, unparsable, begins, before = [], list[QuarantinedRow](), list[tuple[int, str]](), 0
    for one, (rows, refused) in zip(files, found, strict=True):
        begins.append((before, one.name if len(files) > 1 else ""))
        lines = pc.add(rows[LINE], before)
        parts.append(rows.set_column(rows.column_names.index(LINE), LINE, lines))
        unparsable += [replace(row, line=(row.line or 0) + before) for row in refused]
        before = max([before, *(row.line or 0 for row in unparsable), pc.max(lines).as_py() or 0])
    return TypedRows(rows=pa.concat_tables(parts), unparsable=tuple(unparsable), begins=tuple(begins))


@contextmanager
def droppable(source: Source, contract: Table) -> Iterator[tuple[Given, ...]]:
    """The files that go to the cloud; those that are made for it are there while the block runs."""
    if source.grid is None:
        yield source.files
        return
    with TemporaryDirectory() as folder:
        made = Path(folder) / f"{source.path.stem}.jsonl"
        source.grid.write(contract, made)
        yield (Given(path=made, plain=made, name=made.name),)


def read_folder(folder: Path) -> Source:
    """The images below `folder` as rows of `id`, `image`, `label` and, for `train/<class>`, `split`.

    An image lies in the folder of its class. Raises ConfigurationError if no image does."""
    found = find_images(folder)
    paths, inside = found.paths, found.in_classes
    if not inside:
        expected = f"images ({', '.join(SUFFIXES)}) in a folder for each class: {folder.name}/<class>/a.png"
        came = f"{len(paths)} images beside each other" if paths else "no images"
        stop(folder, "--from", expected, f"{came}; a CSV file may name them: file,label")
    notes = [f"{len(inside):,} images of the folder {folder}; an image's class is the folder that it lies in"]
    if len(paths) > len(inside):
        notes.append(f"{len(paths) - len(inside):,} images that lie in no class's folder are left out")
    if found.left_out:
        notes.append(found.left_out)
    return Source(path=folder, table=found.labelled(), has_typed_text=False, notes=tuple(notes))


def _with_images(source: Source) -> Source:

    table, notes = source.table, list(source.notes)
    for place, name in enumerate(table.column_names):
        cells = table[name].combine_chunks()
        if not pa.types.is_string(cells.type) or not _names_files(cells, source.path.parent):
            continue
        names = cells.to_pylist()
        paths = [source.path.parent / str(cell) for cell in names]
        if missing := [str(cell) for cell, path in zip(names, paths, strict=True) if not path.is_file()]:
            stop(source.path, name, "names of image files beside the table", missing[:3])
        images = pa.array([path.read_bytes() for path in paths], pa.binary())
        table = table.set_column(place, name, images)
        # The names made way for the images, but they tell the rows apart: without an `id` they become one.
        if not {"id"} & set(table.column_names):
            table = table.add_column(0, "id", pa.array([str(cell).rsplit(".", 1)[0] for cell in names]))
        notes.append(f"{name} names image files: the drops hold the images themselves")
    return replace(source, table=table, notes=tuple(notes))


def _names_files(cells: pa.Array, folder: Path) -> bool:
    first = [str(cell) for cell in cells[:20].to_pylist()]
    return bool(first) and all(cell.lower().endswith(SUFFIXES) for cell in first) and (folder / first[0]).is_file()
