"""The messages of the function `withdrawal`: which rows a person takes out of the tables, and how many left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from millrace.messages.envelope import ExecutionInput, Message


class WithdrawalRequest(ExecutionInput):
    """The input: the rows to withdraw, by their key or by their drop.

    {"cause": "withdraw-5d7c39d7b8804f07", "as_of": "1997-06-01T06:00:00Z", "reason": "a typing error in the year",
     "by": "arn:aws:iam::123456789012:user/operator", "drop": "electricity/training/1996-05.parquet"}

    `cause` names the request: the function knows a repeated request by it."""

    by: str
    """The identity of the person."""
    reason: Annotated[str, Field(min_length=1)]
    key: Mapping[str, str | int | float | bool] = {}
    """A key of the contract: its columns with their cells, as a prediction request writes cells."""
    drop: str = ""
    """A key in the landing bucket. Every row of every version of the object is withdrawn; rows that it only labelled
    get their earlier label."""
    is_preview: bool = False
    """Only say what would become of the rows; nothing changes."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.key) is bool(self.drop):
            raise ValueError(f"expected a key or a drop, got {'both' if self.key else 'neither'}")
        return self


class Withdrawn(Message):
    """The answer: how many rows left the tables `rows` and `labels`, and how many have their earlier label again.

    {"rows": 1488, "labels": 0, "relabelled": 0}"""

    rows: int
    labels: int
    relabelled: int = 0
    """Rows of `rows` that the withdrawn label file had corrected."""
