"""The kinds of tensors. Add a kind: one file, one line in ENTRIES, and its name in `TensorKind` of the signature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.features.tensors.categories import CategoryEntries
from millrace.features.tensors.history import HistoryEntries
from millrace.features.tensors.image import PixelEntries
from millrace.features.tensors.numbers import NumberEntries
from millrace.features.tensors.text import WordEntries

if TYPE_CHECKING:
    from millrace.features.signature import TensorKind
    from millrace.features.tensors.entries import Entries

ENTRIES: dict[TensorKind, Entries] = {
    "numbers": NumberEntries(),
    "categories": CategoryEntries(),
    "text": WordEntries(),
    "image": PixelEntries(),
    "history": HistoryEntries(),
}
