"""What a rule's target gets of an event: all of it, a part (InputPath), a constant (Input) or a filled template.

AWS fills a template as text. A placeholder outside quotes becomes JSON, one inside quotes becomes plain text that is
not escaped. A path that leads nowhere becomes `null` outside quotes, and nothing inside them:

    InputPathsMap   {"key": "$.detail.key", "no": "$.none"}
    InputTemplate   {"key": <key>, "text": "put <key>", "no": <no>}
    delivered       {"key":"a.csv","text":"put a.csv","no":null}

moto fills in strings without quotes, so what CDK writes (`{"key":<detail-key>}`) is no JSON any more."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_PLACEHOLDER = re.compile(r"<([^<>\s]+)>")
_STEP = re.compile(r"\.?\['([^']+)'\]|\.?\[(\d+|\*)\]|\.([^.\[\]]+)")
_NOWHERE = object()
"""What a path gives that leads nowhere. It is not None, since null is a value that an event may have."""


def target_input(target: Mapping[str, Any], event: Mapping[str, Any], reserved: Mapping[str, Any]) -> str:
    """The text that is delivered. `reserved` holds AWS's variables, such as `aws.events.rule-name`."""
    if target.get("Input") is not None:
        return str(target["Input"])
    if target.get("InputPath"):
        found = at_path(event, target["InputPath"])
        return _json(None if found is _NOWHERE else found)
    if target.get("InputTransformer"):
        return _fill(target["InputTransformer"], event, reserved)
    return _json(event)


def at_path(event: Any, path: str) -> Any:
    """The value at a path such as `$.detail.object.key`, `$.resources[0]` or `$.detail.rows[*].id`.

    A path with a wildcard gives a list. A path that leads nowhere gives the marker `_NOWHERE`."""
    # `found` holds all values that are reached so far: one at most, until the first wildcard.
    found, rest = [event], path.removeprefix("$")
    has_wildcard = False
    for step in _STEP.finditer(rest):
        name, index = step[1] or step[3], step[2]
        if "*" in (name, index):
            has_wildcard = True
            found = [child for value in found for child in _children(value)]
        else:
            found = [child for value in found if (child := _child(value, name, index)) is not _NOWHERE]
    if has_wildcard:
        return found
    return found[0] if found else _NOWHERE


def _child(value: Any, name: str | None, index: str | None) -> Any:
    if name is not None and isinstance(value, Mapping):
        return value.get(name, _NOWHERE)
    if index is not None and isinstance(value, list) and int(index) < len(value):
        return value[int(index)]
    return _NOWHERE


def _children(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else []


def _fill(transformer: Mapping[str, Any], event: Mapping[str, Any], reserved: Mapping[str, Any]) -> str:
    """The template with its placeholders filled in. A placeholder of an unknown name stays as it is."""
    template: str = transformer["InputTemplate"]
    paths: Mapping[str, str] = transformer.get("InputPathsMap") or {}
    values = {**{name: at_path(event, path) for name, path in paths.items()}, **reserved}
    # The template is read character by character: whether a placeholder is inside quotes depends on all quotes before
    # it. A backslash is taken together with the character behind it, so that an escaped quote does not end the quotes.
    filled, position, is_quoted = "", 0, False
    while position < len(template):
        placeholder = _PLACEHOLDER.match(template, position)
        if placeholder and placeholder[1] in values:
            value = values[placeholder[1]]
            filled += _as_text(value) if is_quoted else _json(None if value is _NOWHERE else value)
            position = placeholder.end()
            continue
        character = template[position]
        if character == "\\":
            filled += template[position : position + 2]
            position += 2
            continue
        is_quoted ^= character == '"'
        filled += character
        position += 1
    # A template of several lines is delivered as compact JSON. Text that is no JSON is delivered as it is.
    try:
        return _json(json.loads(filled))
    except ValueError:
        return filled


def _as_text(value: Any) -> str:
    if value is _NOWHERE or value is None:
        return ""
    if isinstance(value, str):
        return value
    # AWS puts an object into a string without its quotes.
    return _json(value).replace('"', "") if isinstance(value, dict | list) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
