"""Replaces members of moto. moto is one for the whole process, so the end of the cloud puts the members back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

_ABSENT = object()
"""Stands for a member that was not there, since None may be a member's value."""
_undoing: ContextVar[list[Callable[[], None]] | None] = ContextVar("undoing", default=None)


def replace(owner: Any, **members: Any) -> None:
    """Set each member on a class or a module of moto, whatever type it is declared with.

    Raises LookupError outside of `undone`: nobody would put the members back."""
    undoing = _current()
    # `vars` has the owner's own members only, `getattr` the inherited ones too. An inherited member is absent here, so
    # it is restored by a deletion.
    for name, value in members.items():
        undoing.append(partial(_set, owner, name, vars(owner).get(name, _ABSENT)))
        setattr(owner, name, value)


def replace_entries(mapping: MutableMapping[Any, Any], **entries: Any) -> None:
    """Set each entry of a dictionary that modules of moto share. Raises LookupError outside of `undone`."""
    undoing = _current()
    for key, value in entries.items():
        undoing.append(partial(_set_entry, mapping, key, mapping.get(key, _ABSENT)))
        mapping[key] = value


@contextmanager
def undone() -> Iterator[None]:
    """Put back at the end of the block whatever is replaced within it."""
    undoing: list[Callable[[], None]] = []
    _undoing.set(undoing)
    try:
        yield
    finally:
        _undoing.set(None)
        # Backwards: if a member was replaced twice, its first replacement has kept the original.
        for undo in reversed(undoing):
            undo()


def _current() -> list[Callable[[], None]]:
    undoing = _undoing.get()
    if undoing is None:
        raise LookupError("patching: expected a cloud that starts, which puts back what it replaced")
    return undoing


def _set(owner: Any, name: str, value: Any) -> None:
    if value is _ABSENT:
        delattr(owner, name)
    else:
        setattr(owner, name, value)


def _set_entry(mapping: MutableMapping[Any, Any], key: str, value: Any) -> None:
    if value is _ABSENT:
        del mapping[key]
    else:
        mapping[key] = value
