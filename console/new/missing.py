"""Words that mean that nothing is known: some in every column, others only in a column of numbers or times."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = (
    "",
    "?",
    "-",
    "NA",
    "N/A",
    "n/a",
    "na",
    "NaN",
    "nan",
    "NULL",
    "null",
    "None",
    "none",
    "#N/A",
    "NaT",
    "n.a.",
    "N.A.",
    "k.A.",
    "k. A.",
    "k.a.",
    "#NV",
)
"""In every column, as spreadsheets, R and pandas write it in English and in German."""
NO_AMOUNTS = (
    *dict.fromkeys(word.lower() for word in MISSING),
    "--",
    "---",
    ".",
    "..",
    "<na>",
    "(null)",
    "(none)",
    "nil",
    "n/d",
    "n.d.",
    "n/k",
    "unknown",
    "not known",
    "not available",
    "not applicable",
    "not reported",
    "missing",
    "undefined",
    "no data",
    "unbekannt",
    "keine angabe",
    "fehlt",
)
"""In a column of numbers or times, in small letters. In a column of words `unknown` may be a class of its own."""


def words_of_no_amount(texts: pa.Array | pa.ChunkedArray) -> tuple[str, ...]:
    """The texts that are words of NO_AMOUNTS, each once, as they are written and in the order in which they come."""
    import pyarrow as pa
    import pyarrow.compute as pc

    came = texts.unique()
    return tuple(came.filter(pc.is_in(pc.utf8_lower(came), value_set=pa.array(NO_AMOUNTS, pa.string()))).to_pylist())


def without(texts: pa.Array | pa.ChunkedArray, words: tuple[str, ...]) -> pa.Array | pa.ChunkedArray:
    """The texts with null in place of the words."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(pc.is_in(texts, value_set=pa.array(words, pa.string())), pa.scalar(None, pa.string()), texts)


def taken_as_missing(texts: pa.Array, words: tuple[str, ...]) -> str:
    """How many cells hold each of the words: `81 cells 'unknown' taken as missing (1.1%)`; "" without words."""
    import pyarrow as pa
    import pyarrow.compute as pc

    there = texts.filter(pc.is_in(texts, value_set=pa.array(words, pa.string())))
    counts = {entry["values"]: entry["counts"] for entry in there.value_counts().to_pylist()}
    said = [
        f"{counts[word]:,} {'cell' if counts[word] == 1 else 'cells'} {word!r} taken as missing "
        f"({counts[word] / len(texts):.1%})"
        for word in words
    ]
    return ", ".join(said)
