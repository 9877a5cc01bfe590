"""A PNG whose data end early is none, whatever its checksums say."""

from __future__ import annotations

import copy
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image as Picture

from millrace.contract.csv_form import ENCODINGS
from millrace.contract.drop_rules import OPERATORS
from millrace.contract.freshness import AGREEMENTS, HOURS
from millrace.contract.kinds import DECLARED_TYPES
from millrace.contract.load import GENERATED, ROLES, load_contract
from millrace.contract.odcs import API_VERSIONS, check_contract
from millrace.contract.parts import read_part
from millrace.contract.row import as_declared, check_row
from millrace.contract.rules.pixels import decode
from millrace.contract.rules.png import has_all_rows
from millrace.contract.schema import Column, Table
from millrace.errors import WorkloadError
from tests import builders
from tests.millrace.files.conftest import as_json_lines, parse, taken


def of_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (*chunks, (b"IEND", b""))
    )


def header(wide: int, high: int, colour: int, depth: int = 8, **how: int) -> tuple[bytes, bytes]:
    ways = (how.get(name, 0) for name in ("compression", "filtering", "interlace"))
    return b"IHDR", struct.pack(">IIBBBBB", wide, high, depth, colour, *ways)


def data(raw: bytes) -> tuple[bytes, bytes]:
    return b"IDAT", zlib.compress(raw)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("side", [1, 7, 28])
def test_what_is_written_whole_is_whole(mode: str, side: int) -> None:
    whole = builders.picture(Picture.new(mode, (side, side + 1)), "png")
    for behind in (b"", b"\n", b"\0" * 13):
        assert has_all_rows(whole + behind)


def test_a_header_of_many_rows_inflates_nothing() -> None:
    """Of 9,000 x 9,000 pixels, the most that Pillow opens without a word: 81 MB of a file of 130 kB."""
    bomb = of_chunks(header(9_000, 9_000, 0), data(bytes(2**27)))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="PNG data of 8 x 8 pixels"):
            decode(bomb, "png", (1, 8, 8))
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("interlace", "size"), [(0, 8 * 9), (1, 2 + 2 + 3 + 6 + 10 + 20 + 36)])
def test_data_that_end_early_are_no_pixels(interlace: int, size: int) -> None:
    """Pillow decodes both, and leaves what is not there black. The sizes are those of the seven passes."""
    head = header(8, 8, 0, interlace=interlace)
    whole, short = (of_chunks(head, data(bytes(length))) for length in (size, size - 1))
    assert (has_all_rows(whole), has_all_rows(short)) == (True, False)
    assert np.array_equal(decode(whole, "png", (1, 8, 8)), np.zeros((1, 8, 8)))
    with pytest.raises(ValueError, match="PNG data of 8 x 8 pixels"):
        decode(short, "png", (1, 8, 8))


GREY, PLACES = data(b"\0\t\t\t\t"), data(b"\0\0\1\2\3")
FOUR, TWO, ONE = ((b"PLTE", bytes(range(3 * colours))) for colours in (4, 2, 1))
FRAME = (b"fcTL", struct.pack(">IIIIIHHBB", 0, 1, 1, 0, 0, 1, 1, 0, 0))
WRONG: dict[str, tuple[tuple[bytes, bytes], ...]] = {
    # Colours that nobody drew; Pillow draws all of them.
    "no palette": (header(4, 1, 3), PLACES),
    "an empty palette": (header(4, 1, 3), (b"PLTE", b""), PLACES),
    "no whole colour": (header(4, 1, 3), (b"PLTE", b"\1\2"), data(bytes(5))),
    "beyond the palette": (header(4, 1, 3), TWO, data(b"\0\0\0\0\xff")),
    "transparent places": (header(4, 1, 3), FOUR, (b"tRNS", b"\0\0"), PLACES),
    "a transparent colour": (header(4, 1, 2), (b"tRNS", bytes(6)), data(bytes(13))),
    # Chunks that decoders read in different ways.
    "a frame": (header(4, 1, 0), FRAME, GREY),
    "two palettes": (header(4, 1, 3), FOUR, ONE, PLACES),
    "a late palette": (header(4, 1, 3), PLACES, FOUR),
    "two headers": (header(4, 1, 2), header(4, 1, 3), ONE, PLACES),
    "two depths": (header(4, 1, 0), header(4, 1, 0, 16), GREY),
    "foreign pixels": (header(4, 1, 0), (b"IDAT", GREY[1][:5]), (b"DDAT", GREY[1][5:])),
    "unknown": (header(4, 1, 0), GREY, (b"XXXX", b"")),
    "a palette of grey": (header(4, 1, 0), ONE, GREY),
    "a third of a colour": (header(4, 1, 3), (b"PLTE", bytes(13)), PLACES),
    "an unknown compression": (header(4, 1, 0, compression=1), GREY),
    "an unknown interlace": (header(4, 1, 0, interlace=2), GREY),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_decoders_read_in_different_ways_is_refused(name: str) -> None:
    channels = 3 if WRONG[name][0][1][9] else 1  # by the header's colour
    with pytest.raises(ValueError, match="PNG data of 1 x 4 pixels"):
        decode(of_chunks(*WRONG[name]), "png", (channels, 1, 4))


TABLE = Table(
    name="rows",
    columns=(
        Column(name="k", kind="int64"),
        *(
            Column(name=f"hue_{tag}", kind="boolean", part=read_part({"of": "hues", "tag": tag}), missing_words=("NA",))
            for tag in ("red", "blue")
        ),
        *(
            Column(name=f"at_{n}", kind="float64", part=read_part({"of": "path", "place": n, "separator": ","}))
            for n in (1, 2, 3)
        ),
    ),
)
CASES: list[tuple[Any, Any, list[Any]]] = [
    ("red;blue", "[1, 2.5, 3]", [True, True, 1, 2.5, 3]),
    ("blue", "[1]", [False, True, 1, None, None]),
    ("", "[]", [False, False, None, None, None]),
    ("[]", "", [False, False, None, None, None]),
    ("NA", "[-1,2,3]", [None, None, -1, 2, 3]),
    ('["red", "green"]', "(1, 2)", [True, False, 1, 2, None]),
    ("red ; blue;", "[1, 2, 3]", [True, True, 1, 2, 3]),
    ("red;;blue", "[1,,3]", [True, True, 1, None, 3]),
    (";", "[,2,3,]", [False, False, None, 2, 3]),
]


def test_each_column_has_its_part() -> None:
    rows = [{"k": at, "hues": hues, "path": path} for at, (hues, path, _) in enumerate(CASES)]
    wanted = {at: dict(zip(TABLE.names[1:], cells, strict=True)) for at, (_, _, cells) in enumerate(CASES)}
    assert [*taken(rows, TABLE).values()] == [wanted] * 4


def test_zero_and_one_are_false_and_true() -> None:
    table = Table(name="rows", columns=(Column(name="k", kind="int64"), Column(name="damp", kind="boolean")))
    found = taken([{"k": at, "damp": damp} for at, damp in enumerate((1, 0, None))], table)
    assert [*found.values()] == [{0: {"damp": True}, 1: {"damp": False}, 2: {"damp": None}}] * 4


@pytest.mark.parametrize(
    ("hues", "path"), [(3, "[1]"), ("red", "[x]"), ("red", 7), ("red", "[1, 2, 3, 4]"), ("red", [1, 2, 3, 4])]
)
def test_another_cell_is_of_a_wrong_type(hues: Any, path: Any) -> None:
    row = {"k": 0, "hues": hues, "path": path}
    assert {one.reason for one in check_row(as_declared(row, TABLE), TABLE)} == {"type"}
    part = parse(as_json_lines([row]), TABLE)
    assert (part.rows.num_rows, [one.reason for one in part.unparsable]) == (0, ["type"])


def test_a_file_needs_the_cell_or_the_columns() -> None:
    """A request may have the columns themselves, as `to_predict.jsonl` has."""
    row = {"k": 1, "hue_red": True, "hue_blue": 0, "at_1": 1, "at_2": 2, "at_3": None}
    assert check_row(as_declared(row, TABLE), TABLE) == ()
    assert TABLE.without("hue_red").without("hue_blue").name_of.keys() == {"k", "at_1", "at_2", "at_3", "path"}


@pytest.mark.parametrize(
    "value",
    ["x", {}, {"of": "a"}, {"of": "a", "tag": ""}, {"of": "a", "tag": "b", "place": 1}, {"of": "a", "place": 0},
     {"of": "a", "place": True}, {"of": "a", "tag": "b", "separator": "x"}, {"of": 3, "tag": "b"}],
)  # fmt: skip
def test_what_is_no_part_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_part(value)


WORKLOADS = Path(__file__).resolve().parents[3] / "workloads"
LATENCY = {"property": "latency", "value": 2, "unit": "d", "element": "rows.timestamp"}
CUSTOM = {"image", "input", "unit", "role", "generated", "missingValues", "csv"}
VOCABULARY: dict[str, set[str]] = {
    "kind": {"DataContract"},
    "apiVersion": {*API_VERSIONS},
    "unit": {*HOURS},
    "logicalType": {*DECLARED_TYPES, "object"},
    "physicalType": {word for kinds in DECLARED_TYPES.values() for word in kinds},
    "type": {"library", "text"},
    "metric": {"invalidValues", "nullValues", "duplicateValues", "missingValues", "rowCount"},
    "dimension": {"conformity"},
    "role": {*ROLES},
    "generated": {*GENERATED},
    "property": {*AGREEMENTS, *CUSTOM},
    "encoding": {"png", "raw", "jpeg", *ENCODINGS},
}
"""The enumerated words by the field, or the custom property, that holds them."""


KEY = ""
"""The field of a key: each counts, but for what people say of a contract."""


def texts(document: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str, str]]:
    """Every key and text of a document: its place, its field, and the text. The field of a custom property is its name.

    The place of a key is that of its mapping."""
    entries = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in entries:
        if isinstance(key, str) and place[-1:] != ("description",):
            yield place, KEY, key
        if isinstance(value, dict | list):
            yield from texts(value, (*place, key))
        elif isinstance(value, str):
            yield (*place, key), document["property"] if key == "value" and "property" in document else key, value


def documents() -> Iterator[dict[str, Any]]:
    """The shipped contracts, and others with the words of the standard's tables, which those hardly use."""
    yield from (yaml.safe_load(path.read_text()) for path in sorted(WORKLOADS.glob("*/contract.yaml")))
    plain = yaml.safe_load((WORKLOADS / "electricity" / "contract.yaml").read_text())
    rules = [{"metric": "rowCount", one: [1, 9] if one.endswith("Between") else 9, "unit": "rows"} for one in OPERATORS]
    plain["schema"][0]["quality"] = rules
    latencies = [{"unit": unit} for unit in HOURS] + [{"property": "ly"}]
    others = [LATENCY | {"property": word} for word in AGREEMENTS if word not in ("latency", "ly")]
    yield from (plain | {"slaProperties": [LATENCY | one, *others]} for one in latencies)
    for logical, kinds in DECLARED_TYPES.items():
        plain["schema"][0]["properties"] += [
            {"name": f"{logical} {word}", "logicalType": logical, "physicalType": word} for word in kinds if word
        ]
    yield plain


def refuses(document: dict[str, Any], folder: Path) -> bool:
    (folder / "contract.yaml").write_text(yaml.safe_dump(document))
    try:
        # The reader of functions and jobs is quick; the standard's schema is asked about what it takes.
        load_contract(folder)
        check_contract(folder)
    except WorkloadError:
        return True
    return False


def test_every_misspelt_word_and_key_of_a_contract_is_refused(tmp_path: Path) -> None:
    seen, taken = set[tuple[str, ...]](), []
    for document in documents():
        assert not refuses(document, tmp_path)
        for place, field, word in texts(document):
            known = VOCABULARY.get(field, {word})
            shape = (*(step for step in place if isinstance(step, str)), word) if field == KEY else (field, word)
            if word not in known or shape in seen or field not in {KEY, *VOCABULARY}:
                continue
            seen.add(shape)
            # With a letter too few, and with one too many.
            for wrong in {word[:-1], word + word[-1]} - {*known, ""}:
                changed = copy.deepcopy(document)
                at: Any = changed
                for key in place if field == KEY else place[:-1]:
                    at = at[key]
                at |= {wrong: at.pop(word)} if field == KEY else {place[-1]: wrong}
                taken += [] if refuses(changed, tmp_path) else [(place, field, wrong)]
    assert taken == []
    assert {field for field, *_ in seen} >= VOCABULARY.keys()
