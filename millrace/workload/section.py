"""What the parts of a declaration have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from millrace.names import STAGE_PATTERN

Stage = Annotated[str, Field(pattern=STAGE_PATTERN)]


class Section(BaseModel):
    """A key that is not supported is refused everywhere."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)
