"""What the ingestion function is told."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from millrace.settings.environment import Environment


class IngestionSettings(Environment):
    """How large a drop may be."""

    drop_mb: Annotated[int, Field(ge=1, le=2048)] = 512
    """The object; its rows and what is refused of them lie beside it in the function's scratch space."""
