"""JSONPaths of the fields of messages, checked against the message's class when the machine is built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from millrace.messages.envelope import Message, StepResult


def path(message: type[Message], *fields: str, root: str = "$") -> str:
    """The JSONPath of a field of `message`. Its JSON is at `root`, and further fields go into nested messages.

    `path(BudgetChecked, "champion", "version", root="$.budget.answer")` is `$.budget.answer.champion.version`.
    Raises ValueError if a class on the way has no such field."""
    # A field may be of one of several classes (`A | None`, `A | B`): one that has the next field is enough.
    found = root
    classes: tuple[type[BaseModel], ...] = (message,)
    for field in fields:
        candidates = [one for one in classes if field in one.model_fields]
        if not candidates:
            known = sorted({name for one in classes for name in one.model_fields})
            where = " or ".join(one.__name__ for one in classes) or f"a value without fields at {found}"
            raise ValueError(f"path {found}.{field}: expected a field of {where} ({', '.join(known)}), got {field!r}")
        info = candidates[0].model_fields[field]
        found = f"{found}.{info.alias or field}"
        classes = tuple(one for candidate in candidates for one in _messages(candidate.model_fields[field].annotation))
    return found


def _messages(annotation: Any) -> Iterator[type[BaseModel]]:
    """The message classes of a field's annotation; none for a scalar, a list or a mapping."""
    if get_origin(annotation) in (Union, UnionType):
        for option in get_args(annotation):
            yield from _messages(option)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation


@dataclass(frozen=True)
class Result:
    """The answer of a function that machines call, kept under the function's name.

    With `BUDGET = Result("budget", BudgetChecked)`, `BUDGET.path("accepted")` is `$.budget.answer.accepted`."""

    name: str
    message: type[Message]
    comment: str = ""
    """What the function does, for the state that calls it."""

    def path(self, *fields: str) -> str:
        """The JSONPath of a field of the answer. Raises ValueError if the class has no such field."""
        return path(StepResult[self.message], "answer", *fields, root=f"$.{self.name}")  # type: ignore[name-defined]
