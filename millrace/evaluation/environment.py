"""environment.json: what was installed where a model was evaluated; the serving image has the same constraints."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import distributions

from pydantic import BaseModel, ConfigDict

ENVIRONMENT_FILE = "environment.json"


class Installed(BaseModel):
    """The Python and its packages, by name."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    python: str
    packages: Mapping[str, str]
    """Versions."""


def installed() -> Installed:
    """What this process could import."""
    found = {one.metadata["Name"]: one.version for one in distributions() if one.metadata["Name"]}
    return Installed(python=platform.python_version(), packages=dict(sorted(found.items())))
