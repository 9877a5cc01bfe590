"""The kinds of columns that a contract can have."""

from __future__ import annotations

from typing import Literal

Kind = Literal[
    "int32",
    "int64",
    "float32",
    "float64",
    "string",
    "binary",
    "boolean",
    "date",
    "timestamp",
    "timestamp_utc",
]
KINDS: tuple[Kind, ...] = (
    "int32",
    "int64",
    "float32",
    "float64",
    "string",
    "binary",
    "boolean",
    "date",
    "timestamp",
    "timestamp_utc",
)
INTEGERS: dict[Kind, int] = {"int32": 2**31, "int64": 2**63}
"""A number v fits where -limit <= v < limit."""
FLOATS: tuple[Kind, ...] = ("float32", "float64")
TIMES: tuple[Kind, ...] = ("date", "timestamp", "timestamp_utc")
