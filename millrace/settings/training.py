"""Settings of functions around a training: what it learns from, where it is recorded, and how its version is kept."""

from __future__ import annotations

from millrace.settings.environment import Environment


class TrackingSettings(Environment):
    """The place where runs are recorded."""

    tracking_uri: str
    """MLflow's tracking URI: `sqlite:///<path>` locally, on AWS the ARN of an MLflow App or of a tracking server."""


class SnapshotSettings(Environment):
    """The code that will train, and how many late labels a call joins."""

    code_digest: str
    """SHA-256 of the training container's image. If the image is not built, the digest of its sources."""
    portion_rows: int = 1_000_000
    """About so many. Memory and time of a call grow by them."""


class RegistrationSettings(Environment):
    """The images of the versions that the function registers, and the key of their model cards."""

    inference_image: str
    processing_image: str
    """The image that evaluated the versions."""
    key_arn: str
    """The customer key that encrypts the model cards."""
