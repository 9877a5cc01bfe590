"""Hostile drops, made from a seed: CSV, JSON lines and Parquet whose cells, lines and bytes are wrong in many ways."""

from __future__ import annotations

import io
import json
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from millrace.contract.kinds import Kind
from millrace.contract.schema import Column, Table

KINDS: dict[str, Kind] = {
    "at": "timestamp",
    "small": "int32",
    "large": "int64",
    "double": "float64",
    "single": "float32",
    "text": "string",
    "day": "date",
    "utc": "timestamp_utc",
    "truth": "boolean",
    "bytes": "binary",
}
TABLE = Table(
    name="rows",
    columns=tuple(Column(name=name, kind=kind, required=name == "at") for name, kind in KINDS.items()),
    keys=(("at",),),
)
TEXTS = (
    *("", " ", "1", "-1", "+5", " 7 ", "0x10", "0X1F", "1_000", "٣", ".", "1.", "1e", "-0", "0.1.2", "1E+05", "0.1"),
    *("1e39", "-1e39", "3.4028235e38", "3.4028236e38", "1e400", "nan", "NaN", "inf", "-Infinity", "1e-46", "16777217"),
    *("2147483647", "2147483648", "9007199254740993", "9223372036854775807", "9223372036854775808", "-2147483649"),
    *("2020-01-01", "2020-1-1", "2020-02-30", "0000-01-01", "0001-01-01", "9999-12-31", "99999-01-01", "2020-W01-1"),
    *("2020-01-01T00:00:00", "2020-01-01 00:00", "2020-01-01T24:00:00", "2020-01-01T00:00:60", "20200101T000000"),
    *("2020-01-01T00:00:00Z", "2020-01-01T00:00:00+02:00", "2020-01-01T00:00:00+25:00", "2020-01-01T00:00:00.1234567"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59.999999", "2020-01-01T00:00:00\n"),
    *(
        "true",
        "True",
        "TRUE",
        "0",
        "no",
        "\0",
        "\ufeff",
        "\u2028",
        "\u00e9",
        "'",
        "=1+1",
        "AA==",
        "AA=",
        "Zm9v",
        "Zm9v\n",
    ),
    *("a,b", '"', 'a"b', "a\rb", "a\nb", "\ud800", "a" * 100),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, -(2**31), 2**53 + 1, 2**63 - 1, 2**63, 10**400, 0.5, -0.0, 16777217),
    *(1e39, 3.4028235e38, 3.4028236e38, 1e308, 1e-46, float("nan"), float("inf"), [], {}, [1], {"object": "a"}, *TEXTS),
)


def mutated(random: Random, data: bytes) -> bytes:
    """The bytes with up to four of them altered, taken out or put in, or cut off."""
    found = bytearray(data)
    for _ in range(random.randint(1, 4)):
        if not found:
            break
        at, how = random.randrange(len(found)), random.random()
        if how < 0.6:
            found[at] = random.randrange(256)
        elif how < 0.75:
            found[at] ^= 1 << random.randrange(8)
        elif how < 0.85:
            del found[at : at + random.randint(1, 20)]
        elif how < 0.95:
            found[at:at] = random.randbytes(random.randint(1, 9))
        else:
            del found[at:]
    return bytes(found)


def csv(random: Random) -> bytes:
    lines = [_csv_line(random) for _ in range(random.randint(1, 30))]
    header = ",".join(KINDS).encode()
    if random.random() < 0.1:
        header = mutated(random, header)
    end = random.choice([b"\n", b"\n", b"\n", b"\r\n", b"\r", b"\n\n"])
    data = end.join([header, *lines]) + random.choice([end, b""])
    return mutated(random, data) if random.random() < 0.3 else data


def _csv_line(random: Random) -> bytes:
    width = len(KINDS) + random.choice([0] * 20 + [1, -1])
    cells = [random.choice(TEXTS).encode("utf-8", "surrogatepass") for _ in range(width)]
    if random.random() < 0.3:
        cells = [b'"' + cell.replace(b'"', b'""') + b'"' if random.random() < 0.5 else cell for cell in cells]
    return b",".join(cells)


def json_lines(random: Random) -> bytes:
    lines = [_json_line(random) for _ in range(random.randint(1, 30))]
    data = random.choice([b"\n", b"\r\n"]).join(lines)
    return mutated(random, data) if random.random() < 0.3 else data


def _json_line(random: Random) -> bytes:
    odd = ["[" * 3000, '{"small":1,"small":2}', '{"small":' + "9" * 5000 + "}", '{"other":1}', '{"double":1e999}']
    if random.random() < 0.1:
        return random.choice(odd).encode()
    return json.dumps({name: random.choice(VALUES) for name in KINDS if random.random() < 0.95}).encode()


NUMBERS = (0, 1, -1, 100, 2**31, -(2**31), 2**53 + 1, 2**62, -(2**62), 253402300800 * 10**6, 1577836800 * 10**6)
STORED: dict[str, tuple[pa.DataType, ...]] = {
    "at": (pa.timestamp("us"), pa.timestamp("ms"), pa.timestamp("ns")),
    "small": (pa.int32(), pa.int64(), pa.float64(), pa.uint64()),
    "large": (pa.int64(), pa.uint64(), pa.float64()),
    "double": (pa.float64(), pa.float32(), pa.int64()),
    "single": (pa.float32(), pa.float64(), pa.int64(), pa.uint64()),
    "text": (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.null()),
    "day": (pa.date32(),),
    "utc": (pa.timestamp("us", "UTC"), pa.timestamp("ms", "Europe/Berlin")),
    "truth": (pa.bool_(),),
    "bytes": (pa.binary(), pa.large_binary(), pa.binary(3)),
}
OTHER = (pa.string(), pa.int8(), pa.bool_(), pa.list_(pa.int32()), pa.decimal128(20, 2), pa.binary())
FLOATS = (0.5, 1.0, -0.0, 1e30, 16777217.0, float("nan"), float("inf"))


def parquet(random: Random) -> bytes:
    rows = random.randint(1, 40)
    kinds = {name: random.choice(OTHER if random.random() < 0.03 else STORED[name]) for name in KINDS}
    table = pa.table({name: _stored_cells(random, kind, rows) for name, kind in kinds.items()})
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        compression=random.choice(["none", "zstd"]),
        write_page_checksum=random.random() < 0.5,
        data_page_version=random.choice(["1.0", "2.0"]),
        use_dictionary=random.random() < 0.5,
        row_group_size=random.choice([5, 100]),
        store_schema=random.random() < 0.5,
    )
    data = bytearray(sink.getvalue())
    if random.random() < 0.5:
        # Most flips go into the footer, which has no checksum.
        footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
        for _ in range(random.randint(1, 3)):
            at = random.randrange(footer if random.random() < 0.7 else 4, len(data) - 4)
            data[at] ^= 1 << random.randrange(8)
    return bytes(data)


def _stored_cells(random: Random, kind: pa.DataType, rows: int) -> pa.Array:
    if pa.types.is_string(kind) and random.random() < 0.3:
        cells = pa.array(
            [random.choice([b"\xff\xfe", b"\xed\xa0\x80", b"good", None]) for _ in range(rows)], pa.binary()
        )
        return pa.Array.from_buffers(kind, rows, cells.buffers(), cells.null_count)
    if pa.types.is_timestamp(kind) or pa.types.is_date32(kind):
        width = pa.int32() if pa.types.is_date32(kind) else pa.int64()
        numbers = [n for n in NUMBERS if abs(n) < 2 ** (31 if width == pa.int32() else 63)]
        return pa.array([random.choice([None, *numbers]) for _ in range(rows)], width).cast(kind)
    return pa.array([random.choice([None, *_candidates(kind)]) for _ in range(rows)], kind)


def _candidates(kind: pa.DataType) -> tuple[Any, ...]:
    if pa.types.is_floating(kind):
        return FLOATS
    if pa.types.is_integer(kind):
        low, high = (
            (0 if pa.types.is_unsigned_integer(kind) else -(2 ** (kind.bit_width - 1))),
            2 ** (kind.bit_width - 1),
        )
        return tuple(number for number in (*NUMBERS, high - 1, low) if low <= number < high)
    if pa.types.is_boolean(kind):
        return (True, False)
    if pa.types.is_list(kind):
        return ([1],)
    if pa.types.is_decimal(kind):
        return (1,)
    if pa.types.is_fixed_size_binary(kind):
        return (b"abc",)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return (b"", b"\xff", b"abc")
    return () if pa.types.is_null(kind) else ("a", "b\u00e9", "")


FORMATS = {"csv": csv, "jsonlines": json_lines, "parquet": parquet}
