"""The base class of all parts of a declaration."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from millrace.names import STAGE_PATTERN

Stage = Annotated[str, Field(pattern=STAGE_PATTERN)]


class Section(BaseModel):
    """One part of workload.yaml. It is immutable, and an unknown key is refused.

    Pydantic builds the validator of a class when the class is first used (`defer_build`): a cold start needs few."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)
