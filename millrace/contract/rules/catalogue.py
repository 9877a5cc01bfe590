"""The rules on cells, in the order in which a cell is judged: the first rule that it breaks is its row's reason."""

from __future__ import annotations

from millrace.contract.rules.allowed import Allowed
from millrace.contract.rules.finite import Finite
from millrace.contract.rules.image import ImageFormat
from millrace.contract.rules.length import Length
from millrace.contract.rules.multiple_of import MultipleOf
from millrace.contract.rules.pattern import Pattern
from millrace.contract.rules.range import Range
from millrace.contract.rules.required import Required
from millrace.contract.rules.rule import Rule

RULES: tuple[type[Rule], ...] = (
    Required,
    Finite,
    Range,
    MultipleOf,
    Allowed,
    Length,
    ImageFormat,
    Pattern,
)
