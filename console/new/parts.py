"""Recognises columns that say which part of a published table a row belongs to: training, validation or test."""

from __future__ import annotations

from console.new.observed import Observed

PARTS = {"train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation"}
PARTS |= {"dev": "validation", "test": "test", "testing": "test"}
"""The part that each word means."""


def says_part(column: Observed) -> bool:
    """Whether all words of the column are words for parts."""
    if column.kind != "string" or not 2 <= column.distinct <= len(PARTS):
        return False
    return {str(word).lower() for word in column.cells.drop_null().unique().to_pylist()} <= PARTS.keys()
