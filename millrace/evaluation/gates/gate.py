"""What every gate offers: its bound as workload.yaml declares it, and its judgement of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from millrace.evaluation.report import Evaluation

Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One gate's judgement; a measured value that is no number never passes."""

    name: str
    passed: bool
    measured: float
    bound: float
    sentence: str
    """What was measured against what, for a person."""


class Gate(BaseModel):
    """The bounds of one gate; a key that is not supported is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def judge(self, report: Evaluation) -> Verdict:
        """Whether the evaluated model keeps the bound."""
        raise NotImplementedError
