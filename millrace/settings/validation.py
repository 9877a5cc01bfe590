"""Settings of the validation function."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from millrace.settings.drop import DropEnvironment


class ValidationSettings(DropEnvironment):
    """The limit on the size of a shard."""

    shard_bytes: Annotated[int, Field(ge=4096, le=6 * 1024 * 1024)] = 5 * 1024 * 1024
    """The most bytes of a shard. Batch transform sends at most 6 MB in one request."""
