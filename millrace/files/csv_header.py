"""The line of names of a CSV file, and the reader of its lines."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from millrace.contract.csv_form import DELIMITERS, CsvForm, numbered
from millrace.contract.reasons import Reason
from millrace.contract.schema import Table
from millrace.contract.violation import truncate
from millrace.errors import DropError
from millrace.files.lines import raw_text
from millrace.files.parsed import check_header

csv.field_size_limit(sys.maxsize)  # a cell may be as long as its line, with quotes in the block and without


def header_of(block: bytes, table: Table) -> tuple[int, list[str]]:
    """The number of lines up to the header and with it, and the header's names.

    The block is not blank. Raises DropError for a header that is not the contract's, with the likely cause: another
    encoding, or another delimiter."""
    skipped, first = 0, b""
    while not first.strip():
        first, _, block = block.partition(b"\n")
        skipped += 1
    try:
        return skipped, check_names(names_of(first, table.csv), table)
    except DropError as error:
        raise _wrong_encoding(first, table.csv) or _wrong_delimiter(first, table) or error from None


def is_of_names(line: bytes, header: list[str], table: Table) -> bool:
    """Whether the line is a line of names, in a file that should have none."""
    with suppress(DropError):
        return check_names(names_of(line, table.csv), table) == header
    return False


def check_names(names: Sequence[str], table: Table) -> list[str]:
    """As `check_header`. Spaces around a name do not count, neither in the file nor in the contract."""
    trimmed = {name.strip(): name for name in table.name_of}
    return check_header([name if name in table.name_of else trimmed.get(name, name) for name in names], table)


def _wrong_delimiter(header: bytes, table: Table) -> DropError | None:
    """The error of a header in which another delimiter finds more of the contract's names; None if none does."""
    own = _known(header, table, table.csv.delimiter)
    for delimiter in DELIMITERS:
        if _known(header, table, delimiter) > own:
            expected = f"{_named(table.csv.delimiter)} between the names (`csv.delimiter` of the contract)"
            return DropError(Reason.FOREIGN, expected=expected, got=_named(delimiter))
    return None


def _known(header: bytes, table: Table, delimiter: str) -> int:
    """How many cells of the header are names of the contract, if this is the delimiter."""
    with suppress(DropError):
        return sum(name in table.name_of for name in names_of(header, replace(table.csv, delimiter=delimiter)))
    return 0


def _named(delimiter: str) -> str:
    return "a tab" if delimiter == "\t" else f"`{delimiter}`"


def _wrong_encoding(header: bytes, form: CsvForm) -> DropError | None:
    """The error of a header in another encoding than the contract's; None if its encoding may be right."""
    says = "may say cp1252 or latin-1" if form.encoding == "utf-8" else "says so"
    declared = f"a header in {form.encoding.upper()} (`csv.encoding` of the contract {says})"
    try:
        text = header.decode()
    except UnicodeDecodeError as error:
        near = header[max(error.start - 20, 0) : error.start + 20]
        return DropError(Reason.ENCODING, expected=declared, got=f"{near!r}, which is not in it")
    # The file's own bytes, read as UTF-8: if that works and gives another text, the header was written in UTF-8.
    try:
        as_utf8 = text.encode(form.encoding).decode()
    except UnicodeError:
        return None
    return None if as_utf8 == text else DropError(Reason.ENCODING, expected=declared, got=f"UTF-8: {truncate(as_utf8)}")


def names_of(line: bytes, form: CsvForm) -> list[str]:
    """The cells of a header, without the spaces around them; a name that comes again has a number behind it.

    Raises DropError `columns` if the line cannot be read as one record."""
    try:
        cells = next(reader(raw_text(line).rstrip("\r"), form, strict=False))
    except csv.Error as error:
        # A file with lines that end in carriage returns alone is one line.
        got = f"{truncate(raw_text(line))} ({in_words(error, raw_text(line))})"
        raise DropError(Reason.COLUMNS, expected="a header in one line", got=got) from None
    return numbered([cell.strip() for cell in cells])


def reader(text: str, form: CsvForm, *, strict: bool) -> Iterator[list[str]]:
    """The records of the text."""
    # Spaces around a cell do not count: a quotation mark behind a delimiter and spaces opens a quoted cell.
    if not form.quote:
        return csv.reader([text], delimiter=form.delimiter, quoting=csv.QUOTE_NONE, skipinitialspace=True)
    return csv.reader([text], delimiter=form.delimiter, quotechar=form.quote, skipinitialspace=True, strict=strict)


def in_words(error: Exception, text: str) -> str:
    """The error of Python's csv in our words, if it speaks of modes of files: a record ended before its text did."""
    if "new-line character" not in str(error):
        return str(error)
    return "a carriage return within a line" if "\r" in text else "a quote in the midst of a cell, as in a later line"
