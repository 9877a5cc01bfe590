"""An item of the table `state` as a class: its fields are the attributes, and `key` says its sort key.

    @dataclass(frozen=True, kw_only=True)
    class KeptPromise(Item, key="promise#{version}", only_if=f"{NEW} OR as_of <= :as_of"):
        version: str
        threshold: float
        as_of: datetime

    promise#3 = {"threshold": {"S": "0.9134"}, "as_of": {"S": "1997-06-01T06:00:00Z"}}

A field that is None has no attribute. An attribute without a field is left out: newer code may have written it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, ClassVar, NamedTuple, Self

from millrace.state.table import Attribute, StateTable, Value, attribute
from millrace.timestamps import format_utc, parse_utc

NEW = "attribute_not_exists(pk)"
"""The condition of a write that replaces nothing."""


@dataclass(frozen=True)
class Form:
    """How a field's value is read from its attribute's, and what `table.attribute` is given of it."""

    read: Callable[[Any], Any]
    write: Callable[[Any], Value | None] = lambda value: value
    """None: there is no attribute."""


TEXT, TEXT_IF_ANY = Form(str), Form(str, lambda text: text or None)
FORMS: Mapping[str, Form] = {
    "str": TEXT,
    "int": Form(int),
    "bool": Form(bool),
    "bytes": Form(bytes),
    "datetime": Form(parse_utc, format_utc),
    # As a text, which keeps all digits: a number of DynamoDB has 38, and an exponent of three digits at most.
    "float": Form(float, repr),
    "tuple[str, ...]": Form(lambda texts: tuple(sorted(texts))),
    "Mapping[str, datetime]": Form(
        lambda texts: {name: parse_utc(text["S"]) for name, text in texts.items()},
        lambda times: {"M": {name: attribute(at) for name, at in times.items()}},
    ),
}
"""By annotation. A field of another type says its own: `field(metadata={"form": Form(…)})`."""


class Item:
    """One item. A field may stand under another name: `field(metadata={"attribute": "paused"})`."""

    _prefix: ClassVar[str]
    _of: ClassVar[str]
    _only_if: ClassVar[str]

    def __init_subclass__(cls, *, key: str, only_if: str = "") -> None:
        """`key` may name one field, which is then no attribute. `put` writes `only_if` this condition holds, in which
        `:name` is the attribute's new value."""
        cls._prefix, _, named = key.partition("{")
        cls._of, cls._only_if = named.removesuffix("}"), only_if

    @classmethod
    def sort_key(cls, of: Any = "") -> str:
        """The sort key of the item of this value of the field that the key names."""
        return cls._prefix + (str(_fields(cls)[cls._of].form.write(of)) if cls._of else "")

    @classmethod
    def find(cls, table: StateTable, of: Any = "") -> Self | None:
        """The item; None without one."""
        found = table.get(cls.sort_key(of))
        return cls.parse(found, of) if found else None

    @classmethod
    def every(cls, table: StateTable) -> dict[str, Self]:
        """All items of this kind in order, by what their keys name."""
        read = _fields(cls)[cls._of].form.read if cls._of else str
        return {of: cls.parse(found, read(of)) for of, found in table.items(cls._prefix).items()}

    @classmethod
    def parse(cls, found: Mapping[str, Attribute], of: Any = "") -> Self:
        values = {cls._of: of} if cls._of else {}
        for name, (stored, form) in _fields(cls).items():
            if stored in found and name != cls._of:
                [value] = found[stored].values()
                values[name] = form.read(value)
        return cls(**values)

    @property
    def attributes(self) -> dict[str, Attribute]:
        """The attributes as they are stored."""
        found = dict[str, Attribute]()
        for name, (stored, form) in _fields(type(self)).items():
            value = getattr(self, name)
            if name != self._of and value is not None and (written := form.write(value)) is not None:
                found[stored] = attribute(written)
        return found

    def put(self, table: StateTable) -> bool:
        """Write the whole item. Returns False, and writes nothing, if the kind's condition fails."""
        found = self.attributes
        compared = {name: found[name] for name in re.findall(r":(\w+)", self._only_if)}
        return table.put(self.sort_key(getattr(self, self._of, "")), found, self._only_if, **compared)


class Stored(NamedTuple):
    """A field in its item: the name and the form of its attribute."""

    name: str
    form: Form


def _read_fields(kind: Any) -> dict[str, Stored]:
    return {
        one.name: Stored(
            one.metadata.get("attribute", one.name),
            one.metadata.get("form") or FORMS[str(one.type).removesuffix(" | None")],
        )
        for one in fields(kind)
    }


_fields: Callable[[Any], dict[str, Stored]] = cache(_read_fields)
