"""The function `withdrawal`: what a person takes out of the tables, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from millrace.messages.envelope import ExecutionInput, Message


class WithdrawalRequest(ExecutionInput):
    """Rows by their key or by their drop; `cause` names the request, so that a repeated one is known."""

    by: str
    """Identity of the person."""
    reason: Annotated[str, Field(min_length=1)]
    key: Mapping[str, str | int | float | bool] = {}
    """The columns of one key of the contract with their cells, as a request writes them."""
    drop: str = ""
    """A landing key: every row of every drop under it."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.key) is bool(self.drop):
            raise ValueError(f"expected a key or a drop, got {'both' if self.key else 'neither'}")
        return self


class Withdrawn(Message):
    """Rows that left each table."""

    rows: int
    labels: int
