"""Reads what `--from` names: files of one shape as one table, a workbook or a database, a folder of images.

Of a large file a sample stands for it while a workload is proposed. It has stretches of successive rows, from the first
to the last: neighbours stay neighbours, and all times are there. A text file keeps the numbers of its lines, since
blank lines stand for those that are left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from millrace.console.files.catalogue import head_of
from millrace.console.files.given import Given
from millrace.console.files.grid import Inside, stop
from millrace.console.image_folder import SUFFIXES, find_images
from millrace.console.new.contract import read_rows
from millrace.console.new.read import Source, read_source, renamed
from millrace.contract.csv_form import CsvForm
from millrace.contract.schema import LINE, Table
from millrace.contract.violation import QuarantinedRow
from millrace.errors import DropError
from millrace.files.catalogue import format_of
from millrace.files.parquet import footer_of


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
        known = pa.schema([sources[0].table.schema.field(name)])
        for source in sources[1:]:
            own = source.table.schema.field(name)
            try:
                known = pa.unify_schemas([known, pa.schema([own])], promote_options="permissive")
            except pa.ArrowTypeError:
                stop(source.path, name, f"{known.field(name).type}, as in the files before it", str(own.type))
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
        source = Source(path=grid.path, table=grid.texts(), has_typed_text=True, notes=(grid.note,), grid=grid)
        return renamed(source)
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


def _form(form: CsvForm) -> str:
    return f"{form.delimiter!r} between cells, quote {form.quote!r}, {form.encoding}"


def typed_rows(
    source: Source, contract: Table, *, at: datetime
) -> tuple[pa.Table, list[QuarantinedRow], tuple[tuple[int, str], ...]]:
    """The rows as ingestion will type them, those that are none, and the number of lines before each file, with its
    name; of one file alone the name is empty. `_line` counts on from file to file.

    `at` is the time of rows without one of their own. Raises ConfigurationError if ingestion refuses a file whole."""
    with droppable(source, contract) as files:
        found = [read_rows(one.sample or one.plain, contract, at=at) for one in files]
    parts, unparsable, begins, before = [], list[QuarantinedRow](), list[tuple[int, str]](), 0
    for one, (rows, refused) in zip(files, found, strict=True):
        begins.append((before, one.name if len(files) > 1 else ""))
        lines = pc.add(rows[LINE], before)
        parts.append(rows.set_column(rows.column_names.index(LINE), LINE, lines))
        unparsable += [replace(row, line=(row.line or 0) + before) for row in refused]
        before = max([before, *(row.line or 0 for row in unparsable), pc.max(lines).as_py() or 0])
    return pa.concat_tables(parts), unparsable, tuple(begins)


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

    An image lies in the folder of its class. Images beside each other have no class: `id` and `image` alone."""
    found = find_images(folder)
    paths, inside = found.paths, found.in_classes
    said = "an image's class is the folder that it lies in" if inside else "none lies in the folder of a class"
    there = f"{len(inside or paths):,} images of the folder {folder}; {said}"
    left = len(paths) - len(inside) if inside else 0
    without = f"{left:,} images that lie in no class's folder are left out" * bool(left)
    table, notes = found.labelled() if inside else found.unlabelled(), (there, without, found.left_out)
    return Source(path=folder, table=table, has_typed_text=False, notes=tuple(filter(None, notes)))


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
        table = table.set_column(place, name, pa.array([path.read_bytes() for path in paths], pa.binary()))
        # The names made way for the images, but they tell the rows apart: without an `id` they become one.
        if not {"id"} & set(table.column_names):
            table = table.add_column(0, "id", pa.array([str(cell).rsplit(".", 1)[0] for cell in names]))
        notes.append(f"{name} names image files: the drops hold the images themselves")
    return replace(source, table=table, notes=tuple(notes))


def _names_files(cells: pa.Array, folder: Path) -> bool:
    first = [str(cell) for cell in cells[:20].to_pylist()]
    return bool(first) and all(cell.lower().endswith(SUFFIXES) for cell in first) and (folder / first[0]).is_file()


MOST_BYTES = 48 * 2**20
"""A larger text file is sampled to about so many bytes: 320,000 rows of 20 columns, which take some two minutes."""
MOST_CELLS = 6_400_000
"""The same for a Parquet file."""
STRETCHES, LONG_STRETCHES = 100, 10
"""A label that lies hours ahead needs rows one after the other, so there are fewer and longer stretches."""
PIECE_BYTES, RECORD_BYTES = 2**20, 2**20
BATCH_ROWS = 65_536


def sampled(files: Sequence[Given], folder: Path, *, looks_ahead: bool) -> tuple[tuple[Given, ...], tuple[str, ...]]:
    """The files, the large ones each with its sample in `folder`, and a sentence on each sample.

    A file that no reader knows is left as it is, for the reader to refuse."""
    stretches = LONG_STRETCHES if looks_ahead else STRETCHES
    found = [_sampled(one, folder / str(at), stretches, files=len(files)) for at, one in enumerate(files)]
    return tuple(one for one, _ in found), tuple(said for _, said in found if said)


def _sampled(given: Given, folder: Path, stretches: int, *, files: int) -> tuple[Given, str]:
    if given.kind or not given.plain.is_file():
        return given, ""
    head = head_of(given.plain)
    try:
        form = format_of(head) if head.strip() else ""
    except DropError:
        return given, ""
    folder.mkdir(parents=True)
    sample, taken, rows = folder / given.plain.name, 0, 0
    if form == "parquet":
        taken, rows = _rows(given.plain, sample, stretches, most=MOST_CELLS // files)
    elif form in ("csv", "jsonlines") and given.plain.stat().st_size > (most := MOST_BYTES // files):
        taken, rows = _lines(given.plain, sample, stretches, most=most, has_quotes=form == "csv")
    if not rows:
        return given, ""
    said = (
        f"{given.name or given.plain.name} is large: the proposal rests on {taken:,} of its {rows:,} lines, in "
        f"{stretches} stretches from the first to the last. Others may hold what the contract does not know: see "
        "the quarantine of the first drop"
    )
    return replace(given, sample=sample), said


def _lines(path: Path, sample: Path, stretches: int, *, most: int, has_quotes: bool) -> tuple[int, int]:
    """Write the sample; the number of its lines, and of all lines."""
    size, length = path.stat().st_size, most // stretches
    taken = lines = 0
    with path.open("rb") as file, sample.open("wb") as out:
        for at in range(stretches):
            start = (size - length) * at // (stretches - 1)
            left_out = sum(piece.count(b"\n") for piece in _up_to(file, start, has_quotes=has_quotes))
            out.write(b"\n" * left_out)
            lines += left_out
            for record in _up_to(file, start + length, has_quotes=has_quotes):
                out.write(record)
                taken += record.count(b"\n")
    return taken, lines + taken


def _up_to(file: IO[bytes], place: int, *, has_quotes: bool) -> Iterator[bytes]:
    """The file's bytes up to the end of the record in which the place lies; none if the file is beyond it."""
    quotes = 0
    while (left := place - file.tell()) > 0 and (piece := file.read(min(left, PIECE_BYTES))):
        quotes += piece.count(b'"')
        yield piece
        if left <= PIECE_BYTES:
            # A line ends its record where the quotes are even. A stray quote is not followed beyond a whole record.
            most = file.tell() + RECORD_BYTES
            while line := file.readline():
                quotes += line.count(b'"')
                yield line
                if not has_quotes or quotes % 2 == 0 or file.tell() > most:
                    return


def _rows(path: Path, sample: Path, stretches: int, *, most: int) -> tuple[int, int]:
    """Write the sample of a Parquet file; the number of its rows, and of all rows. Both are 0 for a small file."""
    try:
        footer_of(path)
    except DropError:
        return 0, 0
    with pq.ParquetFile(path) as file:
        rows, wanted = file.metadata.num_rows, most // max(file.metadata.num_columns, 1)
        if rows <= wanted:
            return 0, 0
        length, begin, taken = max(wanted // stretches, 1), 0, 0
        starts = [(rows - length) * at // (stretches - 1) for at in range(stretches)]
        with pq.ParquetWriter(sample, file.schema_arrow) as writer:
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                for start in starts:
                    first, last = max(start - begin, 0), min(start + length - begin, batch.num_rows)
                    if first < last:
                        writer.write_batch(batch.slice(first, last - first))
                        taken += last - first
                begin += batch.num_rows
    return taken, rows
