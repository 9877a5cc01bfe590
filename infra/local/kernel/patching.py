"""Replace members of moto that all of a process shares; the end of the cloud restores them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

_ABSENT = object()
_undoing: ContextVar[list[Callable[[], None]] | None] = ContextVar("undoing", default=None)


def replace(owner: Any, **members: Any) -> None:
    """Set each member on a class or a module of moto, whatever its declared type.

    Raises LookupError outside of `undone`: nobody would put it back."""
    undoing = _current()
    # The owner's own members only (`vars`, not `getattr`): to undo, one that was inherited is deleted, not set.
    for name, value in members.items():
        undoing.append(partial(_set, owner, name, vars(owner).get(name, _ABSENT)))
        setattr(owner, name, value)


def replace_entries(mapping: MutableMapping[Any, Any], **entries: Any) -> None:
    """Set each entry of a dictionary that moto's modules share. Raises LookupError outside of `undone`."""
    undoing = _current()
    for key, value in entries.items():
        undoing.append(partial(_set_entry, mapping, key, mapping.get(key, _ABSENT)))
        mapping[key] = value


@contextmanager
def undone() -> Iterator[None]:
    """What is replaced within the block is as it was before when the block ends."""
    undoing: list[Callable[[], None]] = []
    _undoing.set(undoing)
    try:
        yield
    finally:
        _undoing.set(None)
        # Backwards: of a member that was replaced twice the first replacement knows the original.
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
