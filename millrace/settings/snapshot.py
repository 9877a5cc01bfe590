"""Settings of the snapshot function."""

from __future__ import annotations

from millrace.settings.environment import Environment


class SnapshotSettings(Environment):
    """Which code will train."""

    code_digest: str
    """Of the training container's image; the digest of its sources where the image is not built."""
