"""What the sharding function is told."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from millrace.settings.drop import DropEnvironment


class ShardingSettings(DropEnvironment):
    """How large a shard of rows may grow."""

    shard_bytes: Annotated[int, Field(ge=1024, le=6 * 1024 * 1024)] = 5 * 1024 * 1024
    """Batch transform sends at most 6 MB at a time."""
