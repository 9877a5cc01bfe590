"""sample.json: a few real rows of the test days with the answers of the evaluated graph."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Sample(BaseModel):
    """Rows as a caller sends them, and the answer to each."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    rows: tuple[dict[str, Any], ...]
    answers: tuple[dict[str, Any], ...]
    """The fields of the task's answer; a number that was none is null."""
