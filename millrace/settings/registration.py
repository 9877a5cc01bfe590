"""Settings of the registration function."""

from __future__ import annotations

from millrace.settings.environment import Environment


class RegistrationSettings(Environment):
    """Which image serves the versions that it registers."""

    inference_image: str
