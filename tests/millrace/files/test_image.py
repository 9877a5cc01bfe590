"""Files that are no tables: a lone image, a manifest that names objects, and rows without a time of their own."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from millrace.contract.rules.image import MOST_BYTES, ImageFormat, describe, read_jpeg
from millrace.contract.rules.image_end import is_cut_off
from millrace.contract.rules.jpeg import SCANS
from millrace.contract.schema import Column, Table
from millrace.contract.validate import validate
from millrace.errors import DropError
from millrace.files.catalogue import read_drop
from millrace.files.origin import Origin
from millrace.files.parsed import Limits, Parsed
from tests import builders

AT = datetime(2024, 5, 6, 7, tzinfo=UTC)
TABLE = Table(
    name="rows",
    columns=(
        Column(name="id", kind="string", required=True),
        Column(name="at", kind="timestamp_utc", required=True, generated="event_time"),
        Column(name="scan", kind="binary", required=True, rules=(ImageFormat(encoding="png", shape=(1, 4, 4)),)),
        Column(name="age", kind="int64"),
    ),
    keys=(("id",),),
)


def png(side: int = 4) -> bytes:
    return builders.picture(Picture.new("L", (side, side), 7), "png")


ORIGIN = Origin(name="scans/a17.png", at=AT, digest="ab" * 32, fetch=lambda key, version_id: b"")


def read(
    content: bytes, folder: Path, table: Table = TABLE, *, of: Origin | None = None, **limits: Any
) -> list[Parsed]:
    path = folder / "drop"
    path.write_bytes(content)
    return list(read_drop(path, table, Limits(**limits), of or ORIGIN))


def test_a_lone_image_is_one_row_named_by_the_object(tmp_path: Path) -> None:
    [part] = read(png(), tmp_path)
    row = {"id": "scans/a17", "at": AT, "scan": png(), "age": None, "_line": 1}
    assert part.rows.to_pylist() == [row]
    assert not validate(part.rows, TABLE).refused
    [too_large] = read(png(8), tmp_path)
    assert [one.reason for one in validate(too_large.rows, TABLE).refused] == ["image"]


@pytest.mark.parametrize(
    "table",
    [
        Table(name="rows", columns=(TABLE.column("id"), TABLE.column("age")), keys=(("id",),)),
        Table(name="rows", columns=TABLE.columns, keys=(("at",),)),
    ],
)
def test_an_image_for_a_table_without_a_place_for_it_is_foreign(table: Table, tmp_path: Path) -> None:
    with pytest.raises(DropError, match="foreign: expected a table"):
        read(png(), tmp_path, table)
    with pytest.raises(DropError, match=r"foreign: expected a PNG of .*, got a JPEG of 12 bytes, cut off"):
        read(b"\xff\xd8\xff" + bytes(9), tmp_path)


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_an_image_is_told_as_cut_off_wherever_it_is(form: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    whole = builders.picture(Picture.fromarray(pixels), form)
    assert describe(whole) == f"a {form} of 24 x 24 pixels, 3 x 8 bits, {len(whole)} bytes"
    assert describe(whole + b"behind") == f"a {form} of 24 x 24 pixels, 3 x 8 bits, {len(whole) + 6} bytes"
    for end in range(12, len(whole), 7):
        assert is_cut_off(whole[:end])
        assert describe(whole[:end]).endswith(f"{end} bytes, cut off")
    assert not is_cut_off(b"hello")
    assert describe(b"hello") == "5 bytes that begin with b'hello'"


def test_an_image_that_is_more_than_a_cell_holds_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(DropError, match="too_large"):
        read(png() + bytes(MOST_BYTES), tmp_path)


def manifest(named: int, word: str = "version_id") -> bytes:
    return "".join(f'{{"id": "{n}", "scan": {{"object": "{n}", "{word}": "v"}}}}\n' for n in range(named)).encode()


def test_a_manifest_of_too_many_objects_is_refused_before_any_is_fetched(tmp_path: Path) -> None:
    fetched: list[str] = []
    of = Origin(name="m", at=AT, digest="", fetch=lambda key, _: fetched.append(key) or png())  # type: ignore[func-returns-value]
    with pytest.raises(DropError, match="too_large: expected 3 objects at most, got 4"):
        read(manifest(4), tmp_path, of=of, objects=3, block_bytes=64)
    assert fetched == []
    assert sum(part.rows.num_rows for part in read(manifest(3), tmp_path, of=of, objects=3, block_bytes=64)) == 3
    fetched.clear()
    # Names in escapes are not counted beforehand.
    parts = read(manifest(5, "version\\u005fid"), tmp_path, of=of, objects=3)
    assert len(fetched) == 3
    refused = [row for part in parts for row in part.unparsable]
    assert [row.violations[0].reason for row in refused] == ["too_large"] * 2


@pytest.mark.parametrize("depth", [900, 960, 980, 990])
def test_a_value_nested_deep_costs_its_row(depth: int, tmp_path: Path) -> None:
    deep = b'{"id":"a","scan":' + b"[" * depth + b"]" * depth + b"}\n"
    [part] = read(deep + b'{"id":"b"}\n', tmp_path)
    assert (part.rows["id"].to_pylist(), [row.line for row in part.unparsable]) == (["b"], [1])


@pytest.mark.parametrize("filler", [b"\xff", b"\xff\x01", b"\xff\xe1\0\0", b"\xff\xe1\0\2"], ids=repr)
def test_an_image_of_fillers_alone_is_looked_through_at_once(filler: bytes) -> None:
    started = time.process_time()
    assert read_jpeg(memoryview(b"\xff\xd8" + filler * (MOST_BYTES // len(filler) - 1))) is None
    assert time.process_time() - started < 0.1


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_of_many_scans_is_no_image(progressive: bool) -> None:
    plain = builders.picture(Picture.new("RGB", (16, 16), "red"), "JPEG", progressive=progressive)
    rule = ImageFormat(encoding="jpeg", shape=(3, 16, 16))
    start = plain.rindex(b"\xff\xda")
    more = SCANS - plain.count(b"\xff\xda")
    most, one_more = (plain[:start] + plain[start:-2] * count + plain[-2:] for count in (more + 1, more + 2))
    assert [list(rule.of_cell(cell)) for cell in (plain, most)] == [[], []]
    assert list(rule.of_cell(one_more)) == ["a JPEG of 16 x 16 pixels, 3 x 8 bits, at most 4194304 bytes, 100 scans"]
