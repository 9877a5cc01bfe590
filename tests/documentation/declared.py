"""What classes say of their fields: the docstring beneath each, its type and its default, as Markdown cells."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from millrace.console.schemas import field_docstrings
from millrace.workload.places import models_in


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; cells are texts in one line each."""
    first, *others = (f"| {' | '.join(' '.join(cell.split()) for cell in line)} |" for line in [headings, *rows])
    return "\n".join([first, f"|{'---|' * len(headings)}", *others])


def code(text: object) -> str:
    """The text as code in a cell of a table; `""` for an empty one."""
    return "`" + str(text).replace("|", "\\|") + "`" if str(text) else ""


def summary(thing: Any) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def members(owner: type[Enum]) -> Iterator[tuple[Enum, str]]:
    """Each member of an enumeration with its docstring."""
    told = field_docstrings(owner)
    return ((member, told.get(member.name, "")) for member in owner)


def words(annotation: Any) -> tuple[str, ...]:
    """The words that a field with this type may hold; nothing for a type without a closed list."""
    if get_origin(annotation) is Literal:
        return tuple(map(str, get_args(annotation)))
    return tuple(word for inner in get_args(annotation) for word in words(inner))


def default(field: Any) -> str:
    """What holds without the key, as workload.yaml writes it: `required`, or empty for nothing."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined or value in ((), {}, ""):
        return ""
    if isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return code(str(value).lower())
    return code(list(value) if isinstance(value, tuple) else value)


def keys(
    model: type[BaseModel], *, prefix: str = "", without: Sequence[str] = (), within: Mapping[str, str] | None = None
) -> Iterator[tuple[str, str, str]]:
    """Key, default and meaning of all that can be declared in the model, those of models within it behind their key.

    `without` are keys that another table has; `within` says for a key where its own keys stand."""
    told = field_docstrings(model)
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        if key in without:
            continue
        meaning = told.get(name, "")
        inner = [each for each in models_in(field.annotation) if issubclass(each, BaseModel)]
        if within and key in within:
            yield code(key), default(field), within[key]
        elif inner:
            for each in inner:
                # Several forms of one key, such as the ways of a split, differ in their own keys.
                at = words(each.model_fields["by"].annotation) if "by" in each.model_fields else ()
                of_list = meaning if get_origin(field.annotation) in (tuple, dict) and not at else ""
                yield code(f"{key}: {{by: {at[0]}}}" if at else key), default(field), of_list or summary(each)
                yield from keys(each, prefix=f"{key}.", without=(f"{key}.by", *without), within=within)
        else:
            offered = words(field.annotation)
            listed = f"{', '.join(map(code, offered))}. " if offered else ""
            yield code(key), default(field), listed + meaning
