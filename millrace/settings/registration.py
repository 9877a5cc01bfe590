"""Settings of the registration function."""

from __future__ import annotations

from millrace.settings.environment import Environment


class RegistrationSettings(Environment):
    """The images of the versions that the function registers, and the key of their model cards."""

    inference_image: str
    """The image that serves the versions."""
    processing_image: str
    """The image that evaluated the versions."""
    key_arn: str
    """The customer key that encrypts the model cards."""
