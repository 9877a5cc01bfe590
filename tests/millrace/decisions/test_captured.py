"""Long cells beside the decisions: references in the rows, the bytes once by their digest."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from millrace.decisions.captured import LongCells, references

LONG = LongCells(columns=("scan", "view"), under="s3://lake/xray/captured/")


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def uri(content: bytes) -> str:
    return f"s3://lake/xray/captured/{hashlib.sha256(content).hexdigest()}"


def test_rows_refer_to_their_long_cells_whose_bytes_are_held_once() -> None:
    rows: list[dict[str, Any]] = [
        {"id": "a", "scan": text(b"one"), "view": text(b"two")},
        {"id": "b", "scan": text(b"two"), "view": text(b"two")},
        {"id": "c", "scan": None},
    ]
    short, contents = LONG.split(rows)
    assert short == [
        {"id": "a", "scan": {"uri": uri(b"one")}, "view": {"uri": uri(b"two")}},
        {"id": "b", "scan": {"uri": uri(b"two")}, "view": {"uri": uri(b"two")}},
        {"id": "c", "scan": None},
    ]
    assert contents == {uri(b"one"): b"one", uri(b"two"): b"two"}
    assert references(short[0], LONG) == {"scan": uri(b"one"), "view": uri(b"two")}
