"""Settings of functions that have a drop, or its rows, on their disk."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from millrace.settings.environment import Environment

COPIES = 4
"""How often a drop may be on the function's disk at once: as it came, unpacked, as typed rows and as refused rows."""


class DropEnvironment(Environment):
    """The limit on the size of a drop."""

    drop_mb: Annotated[int, Field(ge=1, le=2048)] = 512
    """The largest object, in MiB, as it was uploaded. A larger one is refused whole with the reason `too_large`."""

    @property
    def disk_mb(self) -> int:
        """The disk that the function needs for the largest drop, in MiB."""
        return COPIES * self.drop_mb
