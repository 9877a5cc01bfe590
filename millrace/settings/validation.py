"""Settings of the validation function."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from millrace.settings.drop import DropEnvironment


class ValidationSettings(DropEnvironment):
    """How large a shard of rows to score may grow."""

    shard_bytes: Annotated[int, Field(ge=4096, le=6 * 1024 * 1024)] = 5 * 1024 * 1024
    """Batch transform sends at most 6 MB at a time."""
