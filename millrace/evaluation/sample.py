"""sample.json: a few real rows of the test days, with the answers of the evaluated model."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Sample(BaseModel):
    """Rows as a caller sends them, and the answer to each: `rows` and `answers` have the same order and length."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    rows: tuple[dict[str, Any], ...]
    answers: tuple[dict[str, Any], ...]
    """The fields of the task's answer, such as `{"value": 1, "probability": 0.87}`; NaN and infinity are null."""
    stream: str = ""
    """The rows as a shard of a batch transform has them, in base64."""
