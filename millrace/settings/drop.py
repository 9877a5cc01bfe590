"""Settings of functions that hold a drop, or its rows, on their disk."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from millrace.settings.environment import Environment

COPIES = 3
"""The drop, its typed rows and its refused rows are on the function's disk at once."""


class DropEnvironment(Environment):
    """How large a drop may be."""

    drop_mb: Annotated[int, Field(ge=1, le=2048)] = 512
    """The object as it was uploaded; a larger one is refused whole as `too_large`."""

    @property
    def disk_mb(self) -> int:
        """The disk that the function needs for the largest drop."""
        return COPIES * self.drop_mb
