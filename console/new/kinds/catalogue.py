"""The kinds of labels by name. A new kind is a module and a line here. A task without a kind is declared by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.new.kinds.binary import Binary
from console.new.kinds.forecast import Forecast
from console.new.kinds.interval import Interval
from console.new.kinds.kind import LabelKind
from console.new.kinds.multiclass import Multiclass
from console.new.kinds.regression import Regression

if TYPE_CHECKING:
    from console.new.observed import Observed

LABEL_KINDS: dict[str, LabelKind] = {
    "binary": Binary(),
    "multiclass": Multiclass(),
    "regression": Regression(),
    "interval": Interval(),
    "forecast": Forecast(),
}


def described() -> str:
    """The kinds in words, each with the label that it is for."""
    return ", ".join(f"{name} ({kind.wanted.split(':')[0]})" for name, kind in LABEL_KINDS.items())


def likely_kind(column: Observed) -> LabelKind | None:
    """The kind for which the column is taken; None if it can be no label."""
    return next((kind for kind in LABEL_KINDS.values() if kind.is_likely(column)), None)
