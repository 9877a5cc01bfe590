"""How a field of a decision stands in its line, in Parquet files, in Athena and in the REST API.

`record.Decision` declares each field by `in_line`. All who write, read or describe decisions go by `record.FIELDS`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from millrace.errors import DecisionError

A_TEXT = r'"(?:[^"\\]|\\.)*"'
"""A quote inside of a text has a backslash before it, so that no text looks like a field."""
A_NUMBER = "-?[0-9][-+.0-9eE]*"


@dataclass(frozen=True, kw_only=True)
class CellKind:
    """How cells of one kind are read and written."""

    read: Callable[[LineObject, str], Any]
    """Takes the object of the line and the field's name in it."""
    pattern: str = ""
    """What is written, as a regular expression; with a group if it is an object."""
    athena: str = "string"
    write: Callable[[Any], str] | None = None
    """The JSON of a cell of each row's own; None if the rows of a call share it, so that it is written once."""


@dataclass(frozen=True, kw_only=True)
class LineField:
    """One field of a decision."""

    name: str
    kind: CellKind
    under: str = "millrace"
    """The object of the line that has it."""
    leaf: str = ""
    """Its name there."""
    needs: Literal["", "acted", "chain", "floor", "called"] = ""
    """Only lines of a workload that declares this may have it."""
    is_optional: bool = False
    """Whether a line may lack it. It does if the cell is empty, or the default."""
    column: Literal["", "cell", "object"] = ""
    """How it stands in a file of absorbed lines: not, as it is, or as JSON."""
    api: dict[str, Any] | None = None
    """Its schema in the REST API; None if the document of a decision has no such field."""

    @property
    def place(self) -> str:
        return f"{self.under}.{self.leaf}"

    def write(self, cell: Any) -> str:
        """The cell of a row's own, behind its name if a line may lack it."""
        assert self.kind.write
        return f'"{self.name}":{self.kind.write(cell)},' if self.is_optional else self.kind.write(cell)


def in_line(kind: CellKind, *, default: Any = MISSING, **told: Any) -> Any:
    """The declaration of a field of `Decision`. One with a default may be left out of a line."""
    has_default = {"default": default} if default != {} else {"default_factory": dict}
    told |= {"kind": kind, "is_optional": default is not MISSING}
    return dataclasses.field(metadata=told, **has_default)


def declared(cls: type) -> Iterator[LineField]:
    """The fields of the dataclass, in order."""
    for one in dataclasses.fields(cls):
        told: dict[str, Any] = {"name": one.name, "leaf": one.name} | dict(one.metadata)
        yield LineField(**told)


def one_of(known: Sequence[str]) -> CellKind:
    """A text that is one of the known ones."""
    return CellKind(read=lambda part, name: part.choice(name, known), pattern=rf'"(?:{"|".join(known)})"')


class LineObject:
    """One object of a line, which is read field by field. Each method raises DecisionError for any other value."""

    def __init__(self, document: Any, name: str = "(line)") -> None:
        if not isinstance(document, dict):
            raise DecisionError(field=name, expected="an object", came=document)
        self.document = document

    def _take(self, field: str, expected: str, kinds: type | tuple[type, ...]) -> Any:
        # True is an int in Python: a number must not be a truth value.
        value = self.document.get(field)
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
            raise DecisionError(field=field, expected=expected, came=value)
        return value

    def part(self, field: str) -> LineObject:
        return LineObject(self.document.get(field), field)

    def mapping(self, field: str) -> Mapping[str, Any]:
        return dict(self._take(field, "an object", dict))

    def text(self, field: str) -> str:
        return str(self._take(field, "text", str))

    def text_or_none(self, field: str) -> str | None:
        return None if self.document.get(field) is None else self.text(field)

    def texts(self, field: str) -> Any:
        value = self.document.get(field)
        if not all(isinstance(text, str) for text in (value if isinstance(value, list) else [value])):
            raise DecisionError(field=field, expected="text, or a list of texts", came=value)
        return value

    def truth(self, field: str) -> bool:
        return bool(self._take(field, "true or false", bool))

    def number(self, field: str) -> float:
        value = float(self._take(field, "a finite number", (int, float)))
        if not math.isfinite(value):
            raise DecisionError(field=field, expected="a finite number", came=value)
        return value

    def numbers(self, field: str) -> Mapping[str, float]:
        """Finite numbers by name."""
        part = self.part(field)
        return {name: part.number(name) for name in part.document}

    def choice(self, field: str, known: Sequence[Any]) -> Any:
        """The text, which must be one of the known ones."""
        if (value := self.document.get(field)) not in known:
            raise DecisionError(field=field, expected=f"one of {', '.join(known)}", came=value)
        return value

    def moment(self, field: str) -> datetime:
        text = self.text(field)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise DecisionError(field=field, expected="an ISO time with its zone", came=text)
        return moment.astimezone(UTC)
