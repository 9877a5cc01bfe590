"""Checks the shape of a contract before anything of it is used: which value is a text, a list, an object.

It also turns a place in the document into names, for errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from millrace.errors import WorkloadError


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a value must be: of one of `types`, called `name` in messages.

    `each` is the shape of a list's items, `fields` are the shapes of an object's fields."""

    name: str
    types: tuple[type, ...]
    each: Shape | None = None
    fields: Mapping[str, Shape] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    """The fields that must be there; any other field may be missing or null."""


def _list(each: Shape) -> Shape:
    return Shape(name="a list", types=(list,), each=each)


def _object(required: str = "", /, **fields: Shape) -> Shape:
    """The shape of an object; `required` names its required fields, with spaces between them."""
    return Shape(name="an object", types=(dict,), fields=fields, required=frozenset(required.split()))


ANY = Shape(name="a value", types=(object,))
TEXT, WHOLE, TRUTH = (
    Shape(name=name, types=(kind,)) for name, kind in (("text", str), ("a whole number", int), ("true or false", bool))
)
LIST = _list(ANY)
COUNT_WORDS = ("mustBeGreaterOrEqualTo", "mustBeGreaterThan", "mustBeLessOrEqualTo", "mustBeLessThan")
QUALITY = _list(
    _object(
        metric=TEXT,
        type=TEXT,
        arguments=_object(properties=_list(TEXT), validValues=LIST),
        **dict.fromkeys(COUNT_WORDS, WHOLE),
    )
)
CUSTOM = _list(_object("property value", property=TEXT, value=ANY))
PROPERTY = _object(
    "name",
    name=TEXT,
    logicalType=TEXT,
    physicalType=TEXT,
    logicalTypeOptions=_object(),
    enum=LIST,
    primaryKeyPosition=WHOLE,
    quality=QUALITY,
    customProperties=CUSTOM,
    **dict.fromkeys(("required", "unique", "primaryKey"), TRUTH),
)
CONTRACT = _object(
    schema=_list(_object("name", name=TEXT, properties=_list(PROPERTY), quality=QUALITY, customProperties=CUSTOM)),
    slaProperties=_list(_object(property=TEXT, unit=TEXT, element=TEXT)),
)
"""The shape of what `millrace.contract.load` reads; the standard's other fields may be anything."""
PLACE = re.compile(r"schema\.(\d+)(?:\.properties\.(\d+))?(?:\.(.+))?")
"""A place in the document, such as `schema.0.properties.8.customProperties.missingValues`."""


def check_shape(document: Mapping[str, Any], *, where: str) -> None:
    """Raise WorkloadError for the first value that has another shape; the error's field has the form of PLACE."""
    _check(document, CONTRACT, "", where)


def _check(value: Any, kind: Shape, at: str, where: str) -> None:
    # YAML's true is a bool, which Python counts as a whole number too.
    fits = isinstance(value, kind.types) and not (isinstance(value, bool) and kind is WHOLE)
    if not fits:
        raise WorkloadError(where=where, field=at, expected=kind.name, came=value)
    if kind.each is not None:
        for number, one in enumerate(value):
            _check(one, kind.each, f"{at}.{number}", where)
    if kind.types != (dict,):
        return
    if strays := [key for key in value if not isinstance(key, str)]:
        raise WorkloadError(where=where, field=at or "(file)", expected="names that are text", came=strays[0])
    # Only fields with a shape are checked; a null counts as a field that is not there.
    for name, part in kind.fields.items():
        inner = f"{at}.{name}".removeprefix(".")
        if value.get(name) is not None:
            _check(value[name], part, inner, where)
        elif name in kind.required and (part is not ANY or name not in value):  # of all shapes only ANY takes null
            raise WorkloadError(where=where, field=inner, expected=part.name, came="nothing")


@contextmanager
def named_places(document: Mapping[str, Any]) -> Iterator[None]:
    """Within the block, a WorkloadError names tables and columns instead of their numbers in the document."""
    try:
        yield
    except WorkloadError as error:
        field = named_place(error.field, document)
        raise WorkloadError(where=error.where, field=field, expected=error.expected, came=error.came) from None


def named_place(place: str, document: Mapping[str, Any]) -> str:
    """The place with names in place of numbers; a place that is not found in the document stays as it is.

    `schema.0.properties.8.customProperties.missingValues` becomes ``schema.rows, column `Rating`, missingValues``."""
    found = PLACE.fullmatch(place)
    table = _entry(document.get("schema"), found[1]) if found else None
    if found is None or table is None:
        return place
    column = _entry(table.get("properties"), found[2])
    if found[2] is not None and column is None:
        return place
    word = re.sub(r"^(customProperties|logicalTypeOptions)\.(?=\D)", "", found[3] or "")
    return ", ".join(filter(None, (f"schema.{table['name']}", f"column `{column['name']}`" if column else "", word)))


def _entry(entries: object, number: str | None) -> dict[str, Any] | None:
    """The entry of this number in a list of objects; None if it is not there or has no name."""
    if not isinstance(entries, list) or number is None or int(number) >= len(entries):
        return None
    entry = entries[int(number)]
    return entry if isinstance(entry, dict) and isinstance(entry.get("name"), str) else None
