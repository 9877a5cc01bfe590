"""Columns as a contract declares them, and values around the edges of what a column may hold."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from PIL import Image as Picture

from millrace.contract.kinds import TYPES_OF_KIND, Kind, to_base64
from millrace.contract.load import load_contract
from millrace.contract.rules.catalogue import RULES
from millrace.contract.rules.rule import Rule
from millrace.contract.schema import Column
from millrace.errors import WorkloadError
from tests import builders


def declared(kind: Kind, properties: Mapping[str, Any]) -> Column:
    """The column `c` as `load_contract` reads it; raises WorkloadError as it does."""
    logical, physical = TYPES_OF_KIND[kind]
    options = {"timezone": True} if kind == "timestamp_utc" else {}
    column = {"name": "c", "logicalType": logical, "physicalType": physical} | properties
    column["logicalTypeOptions"] = options | properties.get("logicalTypeOptions", {})
    label = {"name": "y", "logicalType": "boolean", "customProperties": [{"property": "role", "value": "label"}]}
    tables = [{"name": name, "properties": [column, label]} for name in ("rows", "labels")]
    with TemporaryDirectory() as folder:
        (Path(folder) / "contract.yaml").write_text(yaml.safe_dump({"schema": tables}))
        return load_contract(Path(folder)).rows.column("c")


def ruled() -> Iterator[tuple[type[Rule], int, Column]]:
    """Each rule with each column that its examples declare, by the example's place."""
    for rule in RULES:
        for kind, (number, properties) in product(rule.kinds, enumerate(rule.examples)):
            with suppress(WorkloadError):  # an example for columns of another kind
                yield rule, number, declared(kind, properties)


def _one_pixel(mode: str, encoding: str) -> bytes:
    return builders.picture(Picture.new(mode, (1, 1)), encoding)


GREY_PNG, COLOUR_JPEG = _one_pixel("L", "png"), _one_pixel("RGB", "jpeg")
EDGES: list[Any] = [
    *(n + by for n in (0, 3, 100, -1, 2**24, 2**31, -(2**31), 2**53, 2**63, -(2**63), 10**20) for by in (-1, 0, 1)),
    10**400, 0.1, 0.3, 0.30000000000000004, 0.05, 0.25, 1.0, -0.0, 1e39, -1e39, 1e308, 3.4028235677973366e38, 1e-320,
    struct.unpack("f", struct.pack("f", 0.1))[0], True, False, [], {}, [1],
    "", " ", "a", "bb", "abbb", "a\n", "a\nb", "é", "\u0663", "7", "\ud800", "\0", "a\u0300", "\U0001f600" * 3, "00",
    "0", "0a0b", "A b", "zz", "YWE=", "YWFh", "YQ=", "YW E=",
    *map(to_base64, (GREY_PNG, GREY_PNG[:-50], COLOUR_JPEG, b"")),
    "2020-01-02", "2020-01-31", "2020-02-01", " 2020-01-02", "2020-01-02 ", "2020-W01-4", "20200102", "2020-1-2",
    "0000-01-01", "0001-01-01", "9999-12-31", "10000-01-01", "2020-02-30", "2020-01-02Z",
    "2020-01-02T12", "2020-01-02T12:00", "2020-01-02 12:00:00", "2020-01-02t12:00:00", "2020-01-02T12:00:00.5",
    "2020-01-02T12:00:00,5", "2020-01-02T12:00:00.1234567", "2020-01-02T24:00:00", "2020-01-02T12:00:60",
    "2020-01-02T12:00:00Z", "2020-01-02T10:00:00Z", "2020-01-02T12:00:00+02:00", "2020-01-02T11:59:59+0200",
    "2020-01-03T00:00+00", "2020-01-03T00:00:00.000001Z", "2020-01-02T12:00:00+24:00", "2020-01-02T12:00:00+01:00:00",
    "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "\u0662020-01-02", "2020-01-02T12:00:00z",
    *(cell for rule in RULES for cell in rule.cells),
]  # fmt: skip
"""Values that one of Python, JSON, Arrow and RE2 treats in a way of its own, and those that the rules name."""
