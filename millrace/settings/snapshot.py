"""Settings of the snapshot function."""

from __future__ import annotations

from millrace.settings.environment import Environment


class SnapshotSettings(Environment):
    """The code that will train."""

    code_digest: str
    """SHA-256 of the training container's image. If the image is not built, the digest of its sources."""
