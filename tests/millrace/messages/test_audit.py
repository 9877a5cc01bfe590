"""What the records of the audit may hold: it is locked, so no cell of a row may get there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from millrace.messages.audit import AuditEvent
from millrace.messages.envelope import Message
from millrace.messages.withdrawal import WithdrawalRequest


def open_fields(model: type[BaseModel]) -> Iterator[str]:
    """The fields, at every depth, that take whatever cells a row has: mappings, and values of any type."""
    for name, field in model.model_fields.items():
        for part in parts(field.annotation):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from (f"{name}.{inner}" for inner in open_fields(part))
            kind = get_origin(part)
            if part in (Any, object) or (isinstance(kind, type) and issubclass(kind, Mapping)):
                yield name


def parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from parts(inner)


@pytest.mark.parametrize("details", sorted({event.details for event in AuditEvent}, key=lambda one: one.__name__))
def test_a_record_has_no_room_for_a_row(details: type[Message]) -> None:
    assert [*open_fields(details)] == []


def test_a_message_with_a_key_is_seen() -> None:
    assert [*open_fields(WithdrawalRequest)] == ["key"]
