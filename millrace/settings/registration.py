"""Settings of the registration function."""

from __future__ import annotations

from millrace.settings.environment import Environment


class RegistrationSettings(Environment):
    """Which images serve the versions that it registers, and evaluated them; the key that model cards are under."""

    inference_image: str
    processing_image: str
    key_arn: str
