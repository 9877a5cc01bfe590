"""Settings of the registration function."""

from __future__ import annotations

from millrace.settings.environment import Environment


class RegistrationSettings(Environment):
    """Which images serve the versions that it registers, and evaluated them."""

    inference_image: str
    processing_image: str
